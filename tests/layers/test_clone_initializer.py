import keras
import numpy as np

from keras_seq.layers._clone_initializer import clone_initializer


def values(initializer):
    return np.array(keras.ops.convert_to_numpy(initializer((3, 4))))


def test_copies_of_one_initializer_draw_apart():
    given = keras.initializers.get("glorot_uniform")
    a, b = values(clone_initializer(given)), values(clone_initializer(given))
    assert np.abs(a - b).max() > 0.01


def test_a_seed_that_was_given_is_kept():
    given = keras.initializers.RandomNormal(stddev=3.0, seed=7)
    np.testing.assert_array_equal(values(clone_initializer(given)), values(given))


def test_a_function_is_handed_on():
    def ones(shape, dtype=None):
        return keras.ops.ones(shape, dtype)

    assert clone_initializer(ones) is ones
