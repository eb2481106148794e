"""A generator that has been called sees what happens to its model afterwards."""

import sys

import keras
import numpy as np
import pytest

import keras_seq
from keras_seq.generation import Generator
from keras_seq.stepping._fingerprint import ModelFingerprint
from tests.generation.generation_models import shaken

numpy = keras.ops.convert_to_numpy
GRAPH = {"jit_compile": keras.backend.backend() != "tensorflow"}


def with_activation():
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(12, 8)(tokens)
    x = keras_seq.layers.GRU(8, return_sequences=True)(x)
    x = keras.layers.Dense(8, activation="tanh", name="dense")(x)
    model = keras.Model(tokens, keras.layers.Dense(12, name="logits")(x))
    rng = np.random.default_rng(1)  # the same weights on every backend
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def enable_lora(model):
    layer = model.get_layer("dense")
    layer.enable_lora(4)
    rng = np.random.default_rng(0)
    layer.lora_kernel_b.assign(rng.normal(size=layer.lora_kernel_b.shape))


def quantize(model):
    model.quantize("int8")


def reassign_activation(model):
    model.get_layer("dense").activation = keras.activations.relu


def generate(generator):
    out = generator.generate(prompt=[[5, 6], [7, 8]])
    return [*numpy(out.tokens).ravel(), *numpy(out.scores)]


def stream(generator):
    return list(np.stack(list(generator.stream(prompt=[[5, 6], [7, 8]], max_length=20)), 1).ravel())


def score(generator):
    return list(numpy(generator.score([[4, 5], [6, 7]], prompt=[[5, 6], [7, 8]]).scores))


@pytest.mark.parametrize("change", [enable_lora, quantize, reassign_activation])
def test_what_is_called_after_a_change_is_what_a_new_generator_gives(change):
    model = with_activation()
    generator = Generator(model, max_length=6, **GRAPH)
    calls = generate, stream, score
    before = [call(generator) for call in calls]
    change(model)
    new_one = Generator(model, max_length=6, **GRAPH)
    expected = [call(new_one) for call in calls]
    after = [call(generator) for call in calls]
    for call, old, new, right in zip(calls, before, after, expected, strict=True):
        np.testing.assert_allclose(new, right, atol=1e-5)
        if call is not stream or change is not quantize:  # which may leave the likeliest tokens
            assert np.abs(np.subtract(new, old)).max() > 1e-4, call.__name__
    # And the values of the new weights are read at each call, not once.
    model.set_weights([(w * 0.5).astype(w.dtype) for w in model.get_weights()])
    np.testing.assert_allclose(score(generator), score(new_one), atol=1e-5)
    assert np.abs(np.subtract(score(generator), after[2])).max() > 1e-3


def test_a_stream_sees_quantized_weights():
    """With an embedding and logits of few bits' difference, the tokens are others."""
    model = with_activation()
    generator = Generator(model, max_length=6, **GRAPH)
    traced = len(stream(generator)) and generator.trace_count
    quantize(model)
    stream(generator)
    assert generator.trace_count == traced + 2


def test_new_values_of_the_same_weights_trace_nothing_again():
    model = with_activation()
    generator = Generator(model, max_length=6, **GRAPH)
    first = generate(generator), score(generator)
    traced = generator.trace_count
    shaken(model)
    model.compile("adam", "mse")
    model.trainable = False
    second = generate(generator), score(generator)
    assert generator.trace_count == traced
    assert np.abs(np.subtract(first[1], second[1])).max() > 1e-3


def test_a_fingerprint_tells_each_change_and_nothing_else():
    model = with_activation()
    before = ModelFingerprint(model)
    model.set_weights([w + 1 for w in model.get_weights()])
    model(np.array([[1, 2]]))
    assert ModelFingerprint(model) == before
    for change in (enable_lora, quantize, reassign_activation):
        change(model)
        after = ModelFingerprint(model)
        assert after != before and after == ModelFingerprint(model)
        before = after
    assert ModelFingerprint(with_activation()) != before


def test_an_activation_of_a_layer_inside_a_layer_or_a_model_counts():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, activation="relu")])
    x = keras.Input((None, 4))
    y = keras.layers.TimeDistributed(keras.layers.Dense(4))(x)
    outer = keras.Model(x, keras_seq.layers.RNN(keras_seq.layers.LSTMCell(4))(inner(y)))
    wrapped, cell = outer.layers[1].layer, outer.layers[-1].cell
    for layer, name in (
        (inner.layers[0], "activation"),
        (wrapped, "activation"),
        (cell, "recurrent_activation"),
    ):
        before = ModelFingerprint(outer)
        setattr(layer, name, keras.activations.gelu)
        assert ModelFingerprint(outer) != before


def test_a_fingerprint_of_twelve_blocks_is_a_few_calls_a_layer():
    model = keras_seq.models.decoder_only_transformer(
        20, num_layers=12, num_heads=2, hidden_dim=8, intermediate_dim=8
    )
    ModelFingerprint(model)  # what is looked up once
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        ModelFingerprint(model)
    finally:
        sys.setprofile(None)
    layers = sum(1 for _ in model._flatten_layers())
    assert calls < 4 * layers
