"""Random numbers as a function of a seed and a counter: the same in any loop, on any backend."""

import numpy as np
from keras import ops

_PARITY = 0x1BD11BDA
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry(key, counter):
    """Threefry-2x32 with 20 rounds (Salmon et al. 2011, section 3.2), in int32.

    Only sums, products, floor divisions and exclusive ors, which LiteRT has, too; sums and products
    of int32 wrap around, and so are those of uint32.

    Args:
        key: two int32 tensors.
        counter: two int32 tensors, of shapes that broadcast with each other and the key.

    Returns:
        Two int32 tensors whose bits are random.
    """
    keys = (*key, ops.bitwise_xor(ops.bitwise_xor(*key), np.int32(_PARITY)))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            x = x + y
            y = ops.bitwise_xor(_rotate_left(y, rotation), x)
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + np.int32(group + 1)
    return x, y


def _rotate_left(x, bits):
    high = ops.floor_divide(x, np.int32(1 << (32 - bits)))
    # The shift of a negative int32 drags its sign along: 2^bits too little.
    high = high + ops.where(x < 0, np.int32(1 << bits), np.int32(0))
    return x * np.int32(1 << bits) + high


def uniform(seed, size):
    """Random numbers in [0, 1) as a function of a seed: how a `Sampler` asks for them.

    They are the words of Threefry-2x32 (Salmon et al. 2011), of the row by the step, under the key
    `seed`. A sampler that needs several numbers a row asks for a multiple of the rows.

    Args:
        seed: what a `Sampler` with `needs_seed` is called with: (3,) int32 tensor, a seed and the
            step that it is for; or (2,), a seed alone.
        size: how many, a number or an int32 scalar tensor.

    Returns:
        (size,) float32, multiples of 2^-24.

    Example:

    ```python
    import numpy as np
    import keras_seq

    u = keras_seq.generation.uniform(np.array([1, 2], "int32"), 1000)
    print(float(np.mean(u)))  # about 0.5
    ```
    """
    seed = ops.convert_to_tensor(seed, dtype="int32")
    rows = ops.arange(size, dtype="int32")
    step = seed[2] if seed.shape[0] == 3 else 0
    bits, _ = threefry((seed[0], seed[1]), (rows, ops.zeros_like(rows) + step))
    upper = ops.floor_divide(bits, np.int32(256)) + np.int32(2**23)  # the upper 24 bits
    return ops.cast(upper, "float32") * 2.0**-24


def seed_of_step(seed):
    """(2,) int32 from a (3,) seed with its step: the numbers of another step are independent."""
    return ops.stack(threefry((seed[0], seed[1]), (seed[2], ops.zeros_like(seed[2]))))


def seed_words(seed, argument="seed"):
    """(2,) int32 NumPy array from an int in [0, 2^64), or a new one from `None`.

    A new one comes from NumPy's global generator, so `keras.utils.set_random_seed` makes a whole
    program repeatable.
    """
    if seed is None:
        return np.random.randint(-(2**31), 2**31, size=2, dtype="int64").astype("int32")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"`{argument}` must be an int or None. Received: {seed!r}")
    if not 0 <= seed < 2**64:
        raise ValueError(f"`{argument}` must be in [0, 2^64). Received: {seed}")
    return np.array([seed % 2**32, seed >> 32], "uint64").astype("uint32").view("int32")


def seed_of_words(words):
    """The int that `seed_words` makes (2,) int32 `words` of."""
    low, high = np.asarray(words, "int32").view("uint32").tolist()
    return low + (high << 32)
