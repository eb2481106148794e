import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.layers._keras_private import get_mask
from keras_seq.testing import check_sequence_layer
from tests.layers.layer_equations import normal, randomise


def test_it_keeps_the_contract():
    check_sequence_layer(ks.layers.RMSNormalization(), (2, 3, 4))


def test_it_is_the_papers_equation_and_keras_layer():
    layer, peer = ks.layers.RMSNormalization(0.1), keras.layers.RMSNormalization(epsilon=0.1)
    x = normal(2, 3, 4)
    layer(x), peer(x)
    (scale,) = randomise(layer)
    peer.set_weights(layer.get_weights())
    expected = scale * x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 0.1)
    for y in (layer(x), peer(x)):
        np.testing.assert_allclose(ops.convert_to_numpy(y), expected, atol=1e-5)


def test_the_mask_goes_on():
    x = keras.layers.Masking()(np.array([[[1.0, 2.0], [0.0, 0.0]]], "float32"))
    mask = get_mask(ks.layers.RMSNormalization()(x))
    np.testing.assert_array_equal(ops.convert_to_numpy(mask), [[True, False]])


@pytest.mark.parametrize("epsilon", [0, -1.0, float("nan"), "1e-6", None, True])
def test_an_epsilon_that_is_no_positive_number_is_refused(epsilon):
    with pytest.raises(ValueError, match=r"`epsilon` of RMSNormalization .* Received: epsilon="):
        ks.layers.RMSNormalization(epsilon)
