import keras
import numpy as np
import pytest

from keras_seq.generation.samplers._random_numbers import (
    seed_of_step,
    seed_words,
    threefry,
    uniform,
)

numpy = keras.ops.convert_to_numpy


@pytest.mark.parametrize(
    "key, counter, expected",  # the known answers published with the generator (Random123)
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((2**32 - 1,) * 2, (2**32 - 1,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_its_known_answers(key, counter, expected):
    key, counter = (np.array(pair, "uint32").view("int32") for pair in (key, counter))
    got = threefry(key, [keras.ops.convert_to_tensor(c) for c in counter])
    assert [int(numpy(word)) % 2**32 for word in got] == list(expected)


def test_uniform_numbers_are_uniform_and_differ_from_seed_to_seed():
    u, other = (numpy(uniform(seed_words(seed), 40000)) for seed in (1, 2))
    assert u.min() >= 0 and u.max() < 1
    counts = np.histogram(u, bins=50, range=(0, 1))[0]
    assert ((counts - 800) ** 2 / 800).sum() < 49 + 4 * np.sqrt(2 * 49)  # chi-square
    assert abs(np.corrcoef(u, other)[0, 1]) < 0.02
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 0.02


def test_steps_and_seeds_draw_numbers_of_their_own():
    """No seed is another one's later step."""
    cases = [(*seed_words(seed), step) for seed in (5, 2**32 + 5, 2**33 + 5) for step in range(3)]
    seeds = [keras.ops.convert_to_tensor(np.array(case, "int32")) for case in cases]
    assert len({tuple(numpy(uniform(seed, 4)).tolist()) for seed in seeds}) == 9
    assert len({tuple(numpy(seed_of_step(seed)).tolist()) for seed in seeds}) == 9
    np.testing.assert_array_equal(numpy(uniform(seeds[0], 4)), numpy(uniform(seed_words(5), 4)))


def test_seeds_are_ints_of_64_bits():
    assert seed_words(2**32 + 5).tolist() == [5, 1]
    assert seed_words(2**64 - 1).tolist() == [-1, -1]
    keras.utils.set_random_seed(7)
    first, second = seed_words(None), seed_words(None)
    keras.utils.set_random_seed(7)
    assert (first != second).any() and (first == seed_words(None)).all()
    for seed, error in ((1.0, TypeError), (True, TypeError), (-1, ValueError), (2**64, ValueError)):
        with pytest.raises(error, match="seed"):
            seed_words(seed)
