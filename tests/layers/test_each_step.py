import keras
import numpy as np
import pytest

from keras_seq.layers import GRU, EachStep
from keras_seq.testing import check_sequence_layer

numpy = keras.ops.convert_to_numpy
RNG = np.random.default_rng(0)


def test_a_layer_for_each_step_keeps_the_contract():
    check_sequence_layer(EachStep(keras.layers.Dense(4, activation="relu")), (2, 5, 3))


def test_every_frame_goes_through_the_layer_alone():
    convolution = keras.layers.Conv2D(4, 3, strides=2)
    frames = RNG.normal(size=(2, 3, 8, 8, 2)).astype("float32")
    y = EachStep(convolution)(frames)
    assert y.shape == (2, 3, 3, 3, 4)
    for t in range(3):
        np.testing.assert_allclose(numpy(y[:, t]), numpy(convolution(frames[:, t])), atol=1e-6)


def test_steps_of_a_number_that_the_graph_does_not_know_are_all_there():
    """More steps than rows, which `keras.layers.TimeDistributed` would cut off."""
    frames = keras.Input((None, 4, 4, 1))
    model = keras.Model(frames, EachStep(keras.layers.Flatten())(frames))
    clips = RNG.normal(size=(2, 7, 4, 4, 1)).astype("float32")
    np.testing.assert_allclose(model.predict(clips, verbose=0), clips.reshape(2, 7, 16))
    assert model.output_shape == (None, None, 16)


def test_masks_pass_and_training_reaches_the_layer():
    inputs = keras.Input((None, 3))
    x = keras.layers.Masking()(inputs)
    x = EachStep(keras.Sequential([keras.layers.Dense(4), keras.layers.Dropout(0.5)]))(x)
    model = keras.Model(inputs, GRU(2)(x))
    x = RNG.normal(size=(2, 4, 3)).astype("float32")
    padded = np.concatenate([x, np.zeros((2, 2, 3), "float32")], axis=1)
    np.testing.assert_allclose(numpy(model(padded)), numpy(model(x)), atol=1e-6)
    drop = EachStep(keras.layers.Dropout(0.5))
    assert (numpy(drop(x, training=True)) == 0).any() and (numpy(drop(x)) == x).all()


def test_what_cannot_be_applied_is_named():
    with pytest.raises(TypeError, match="`layer` of EachStep must be a keras.layers.Layer"):
        EachStep(len)
    with pytest.raises(ValueError, match=r"`x` of EachStep must have shape \(B, T, ...\)"):
        EachStep(keras.layers.Dense(2))(np.ones((2, 3), "float32"))
