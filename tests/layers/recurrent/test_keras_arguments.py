"""Arguments of Keras' recurrent layers and cells: the same names, order and defaults."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from tests.layers.layer_equations import normal, randomise

NAMES = ("SimpleRNNCell", "LSTMCell", "GRUCell", "SimpleRNN", "LSTM", "GRU", "RNN")
LAYERS = ("SimpleRNN", "LSTM", "GRU")
numpy = ops.convert_to_numpy


def parameters(function, *kinds):
    return [p for p in inspect.signature(function).parameters.values() if p.kind in kinds]


def positional(function):
    return parameters(function, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@pytest.mark.parametrize("name", NAMES)
def test_positional_arguments_are_those_of_keras_in_its_order_with_its_defaults(name):
    ours, theirs = (positional(getattr(m.layers, name).__init__) for m in (ks, keras))
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]


@pytest.mark.parametrize("name", [*NAMES, "PeepholeLSTMCell", "LayerNormLSTMCell", "GatedCell"])
def test_signatures_are_written_out(name):
    function = getattr(ks.layers, name).__init__
    assert not parameters(function, inspect.Parameter.VAR_POSITIONAL)


@pytest.mark.parametrize("name", [*LAYERS, "RNN"])
def test_a_call_takes_its_arguments_in_the_order_of_keras(name):
    ours, theirs = (positional(getattr(m.layers, name).call) for m in (ks, keras))
    assert [p.name for p in ours][: len(theirs)] == [p.name for p in theirs]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("go_backwards", [False, True])
def test_outputs_of_masked_steps_are_zeros_where_asked_as_in_keras(name, go_backwards):
    arguments = {"return_sequences": True, "zero_output_for_mask": True}
    ours, theirs = (
        getattr(m.layers, name)(4, go_backwards=go_backwards, **arguments) for m in (ks, keras)
    )
    x, mask = normal(2, 5, 3), ops.convert_to_tensor(np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 1]]))
    ours(x), theirs(x)
    randomise(ours)
    theirs.set_weights(ours.get_weights())
    mask = ops.cast(mask, "bool")
    np.testing.assert_allclose(*(numpy(m(x, mask=mask)) for m in (ours, theirs)), atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_an_unrolled_layer_gives_the_numbers_of_the_loop(name):
    loop, unrolled = (
        getattr(ks.layers, name)(4, return_sequences=True, unroll=unroll)
        for unroll in (False, True)
    )
    x, mask = normal(9, 5, 3), np.random.default_rng(0).random((9, 5)) < 0.6
    loop(x), unrolled(x)
    randomise(loop)
    unrolled.set_weights(loop.get_weights())
    mask = ops.convert_to_tensor(mask)
    np.testing.assert_allclose(*(numpy(m(x, mask=mask)) for m in (loop, unrolled)), atol=1e-5)


@pytest.mark.needs_tensorflow(reason="looks at TensorFlow's graph")
@pytest.mark.parametrize("name", LAYERS)
def test_an_unrolled_layer_has_no_loop_and_the_gradient_of_the_loop(name):
    import tensorflow as tf

    layer = getattr(ks.layers, name)(4, return_sequences=True)
    x = tf.constant(normal(9, 5, 3))
    layer(x)
    randomise(layer)
    results = {}
    for unroll in (False, True):
        layer.unroll = unroll

        @tf.function
        def gradients(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(tf.sin(layer(x, training=True)))
            return tape.gradient(loss, [x, *(w.value for w in layer.trainable_variables)])

        graph = gradients.get_concrete_function(x).graph
        assert any("While" in op.type for op in graph.get_operations()) is not unroll
        results[unroll] = gradients(x)
    for a, b in zip(results[False], results[True], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_unrolling_needs_a_known_number_of_steps():
    with pytest.raises(ValueError, match=r"`unroll` of GRU.*known number.*\(None, None, 3\)"):
        ks.layers.GRU(4, unroll=True)(keras.Input((None, 3)))


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_arguments_without_effect_are_kept_in_the_configuration(name):
    layer = getattr(ks.layers, name)(4, use_cudnn=False, implementation=1)
    again = type(layer).from_config(layer.get_config())
    assert again.use_cudnn is False and again.implementation == 1
    for wrong in ({"use_cudnn": "yes"}, {"implementation": 3}):
        (key,) = wrong
        with pytest.raises(ValueError, match=f"`{key}` of {name}"):
            getattr(ks.layers, name)(4, **wrong)


@pytest.mark.parametrize("name", LAYERS)
def test_a_configuration_of_keras_makes_our_layer(name):
    theirs = getattr(keras.layers, name)(4, dropout=0.2, return_sequences=True, unroll=True)
    ours = getattr(ks.layers, name).from_config(theirs.get_config())
    config = ours.get_config()
    for key, value in theirs.get_config().items():
        assert key == "dtype" or config[key] == value, key


@pytest.mark.parametrize("name", LAYERS)
def test_every_argument_is_in_the_configuration(name):
    layer = getattr(ks.layers, name)(4)
    named = parameters(
        type(layer).__init__,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    )
    missing = {p.name for p in named} - set(layer.get_config()) - {"self"}
    assert not missing


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_the_attributes_of_keras(name):
    ours, theirs = (getattr(m.layers, name)(4, dropout=0.1) for m in (ks, keras))
    for attribute in theirs.get_config():
        if attribute != "seed":  # which Keras' layer has not, either
            assert hasattr(ours, attribute), attribute
