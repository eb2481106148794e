import keras
import numpy as np
import pytest

from keras_seq.layers import LearnedTokens

numpy = keras.ops.convert_to_numpy


def test_every_row_of_the_batch_gets_the_same_learned_vectors():
    layer = LearnedTokens(3, initializer="random_normal")
    y = numpy(layer(np.ones((2, 5, 4), "float32")))
    assert y.shape == (2, 3, 4)
    np.testing.assert_array_equal(y[0], numpy(layer.tokens))
    np.testing.assert_array_equal(y[1], y[0])


def test_a_model_with_it_saves_and_loads_with_any_number_of_rows(tmp_path):
    x = keras.Input((5, 4))
    model = keras.Model(x, LearnedTokens(2)(x))
    assert model.output_shape == (None, 2, 4)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    inputs = np.zeros((3, 5, 4), "float32")
    np.testing.assert_array_equal(numpy(loaded(inputs)), numpy(model(inputs)))


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="`num_tokens` of LearnedTokens must be an int of at"):
        LearnedTokens(0)
    with pytest.raises(ValueError, match=r"`x` of LearnedTokens must have shape \(B, T, D\)"):
        LearnedTokens(1)(np.ones((2, 4)))
