import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.testing import check_sequence_layer
from tests.layers.layer_equations import feed_forward, normal, randomise, sigmoid


@pytest.mark.parametrize(
    "arguments", [{}, {"activation": "gelu", "dropout": 0.3, "gated": True, "use_bias": False}]
)
def test_it_keeps_the_contract(arguments):
    check_sequence_layer(ks.layers.FeedForward(6, **arguments), (2, 5, 3))


def test_it_is_the_papers_equation():
    layer, x = ks.layers.FeedForward(6), normal(2, 5, 3)
    layer(x)
    expected = feed_forward(x, *randomise(layer))
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), expected, atol=1e-5)


ACTIVATIONS = {  # Shazeer 2020, section 2: ReGLU, GLU, SwiGLU, bilinear
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "linear": lambda x: x,
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gated_it_is_shazeers_equation(activation):
    layer, x = ks.layers.FeedForward(6, activation=activation, gated=True), normal(2, 5, 3)
    layer(x)
    w, b, v, c, outer_kernel, outer_bias = randomise(layer)
    expected = (ACTIVATIONS[activation](x @ w + b) * (x @ v + c)) @ outer_kernel + outer_bias
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["gelu_tanh", "gelu_approximate"])
def test_the_gelu_of_gpt_2_has_a_name(name):
    layer, x = ks.layers.FeedForward(6, activation=name), normal(2, 5, 3)
    layer = ks.layers.FeedForward.from_config(layer.get_config())
    layer(x)
    w, b, outer_kernel, outer_bias = randomise(layer)
    h = x @ w + b
    gelu = 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
    expected = gelu @ outer_kernel + outer_bias
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), expected, atol=1e-5)
    block = ks.layers.TransformerEncoderBlock(6, 2, activation=name)
    assert block.get_config()["activation"] == "gelu_tanh"


@pytest.mark.parametrize("gated", [False, True])
def test_without_biases_only_the_products_are_left(gated):
    layer, x = ks.layers.FeedForward(6, gated=gated, use_bias=False), normal(2, 5, 3)
    layer(x)
    inner, *linear, outer = randomise(layer)
    y = np.maximum(x @ inner, 0)
    y = y * (x @ linear[0]) if gated else y
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), y @ outer, atol=1e-5)


def test_the_kernels_start_apart():
    layer = ks.layers.FeedForward(4, gated=True, use_bias=False)
    layer.build((None, None, 4))
    inner, linear, outer = layer.get_weights()
    for a, b in ((inner, linear), (inner, outer), (linear, outer)):
        assert np.abs(a - b).max() > 0.01


def test_dropout_drops_in_training_and_keeps_the_expectation():
    layer = ks.layers.FeedForward(2000, activation="linear", dropout=0.5, seed=0)
    x = np.ones((1, 4, 1), "float32")
    layer(x)
    inner, outer = np.ones((1, 2000)), np.full((2000, 1), 1 / 2000)
    layer.set_weights([inner, np.zeros(2000), outer, np.zeros(1)])
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), 1, atol=1e-4)
    y = ops.convert_to_numpy(layer(x, training=True))
    assert np.any(y != 1)
    np.testing.assert_allclose(y, 1, atol=5 / np.sqrt(2000))


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"intermediate_dim": 0}, "`intermediate_dim`.*intermediate_dim=0"),
        ({"intermediate_dim": 4, "dropout": True}, "`dropout`.*dropout=True"),
    ],
)
def test_bad_constructor_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        ks.layers.FeedForward(**arguments)
