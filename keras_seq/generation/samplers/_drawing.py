"""Drawing from a distribution by a seed."""

from keras import ops

from keras_seq.generation.samplers._random_numbers import uniform


def categorical(log_weights, seed):
    """Draws an index of each row, with a probability proportional to exp(log_weights).

    The row's uniform number is compared with the cumulated weights, so that it is a function of the
    seed, the row and the step alone.

    Args:
        log_weights: (B, C) floats, -inf where an index must not be drawn; not all of a row.
        seed: what a `Sampler` with `needs_seed` is called with.

    Returns:
        (B,) int32.

    Example:

    ```python
    import numpy as np
    import keras_seq

    log_weights = np.array([[0.0, -np.inf, 0.0]] * 1000, "float32")
    drawn = keras_seq.generation.categorical(log_weights, seed=np.array([1, 2], "int32"))
    print(np.bincount(np.asarray(drawn)))  # about 500, 0, 500
    ```
    """
    log_weights = ops.convert_to_tensor(log_weights)
    best = ops.max(log_weights, axis=-1, keepdims=True)
    return draw(ops.exp(log_weights - best), uniform(seed, ops.shape(log_weights)[0]))


def draw(weights, u):
    """Invert the cumulated distribution: the first index whose cumulated weight is above u.

    Args:
        weights: (B, C) floats, not all zero.
        u: (B,) floats in [0, 1).

    Returns:
        (B,) int32, never of a zero weight, however the sums are rounded.
    """
    cumulated = ops.cumsum(weights, axis=-1)
    threshold = ops.expand_dims(u, -1) * cumulated[:, -1:]
    size = weights.shape[-1]
    ids = ops.arange(size, dtype="int32")
    possible = weights > 0
    first = ops.min(ops.where(ops.logical_and(possible, cumulated > threshold), ids, size), axis=-1)
    return ops.minimum(first, ops.max(ops.where(possible, ids, 0), axis=-1))
