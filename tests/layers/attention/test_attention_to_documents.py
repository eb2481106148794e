"""Self-attention with `reset`: each position attends to its own document, and to no other."""

import keras
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from keras import ops

import keras_seq as ks
from tests.layers.attention.attention_equations import attention, band
from tests.layers.attention.test_multi_head import spied_kernel
from tests.layers.layer_equations import normal, randomise


def numpy(*tensors):
    return [ops.convert_to_numpy(t) for t in tensors]


def same_document(reset):
    number = np.cumsum(reset, axis=1)
    return number[:, :, None] == number[:, None]


@pytest.mark.needs_tensorflow(reason="eager JAX compiles each operation anew for each shape")
@settings(max_examples=15, deadline=None, derandomize=True)
@example(window=2, time=9, masked=0.0, positions="rotary", seed=0)  # in blocks, the last one short
@example(window=3, time=9, masked=0.9, positions=None, seed=1)  # rows with nothing to see
@given(
    window=st.sampled_from(["two-sided", None, 1, 2, 4]),
    time=st.integers(1, 12),
    masked=st.sampled_from([0.0, 0.4]),
    positions=st.sampled_from([None, "rotary", "alibi"]),
    seed=st.integers(0, 99),
)
def test_a_position_attends_to_its_document_alone(window, time, masked, positions, seed):
    causal = window != "two-sided"
    layer = ks.layers.MultiHeadSelfAttention(
        2,
        2,
        causal=causal,
        sliding_window=window if causal else None,
        num_key_value_heads=1,
        positions=positions,
    )
    layer.build((None, None, 3))
    weights, x = randomise(layer, scale=0.8), normal(2, time, 3, seed=seed)
    rng = np.random.default_rng(seed)
    mask, reset = rng.random((2, time)) >= masked, rng.random((2, time)) < 0.3
    visible = mask[:, None] & same_document(reset)
    if causal:
        visible = visible & band(time, window or time)
    expected, scores = attention(x, x, weights, visible, positions)
    arguments = {"mask": ops.convert_to_tensor(mask)} if masked else {}
    (y,) = numpy(layer(x, reset=ops.convert_to_tensor(reset), **arguments))
    np.testing.assert_allclose(y, expected, atol=1e-5)
    got = numpy(*layer(x, reset=reset, return_attention_scores=True, **arguments))
    np.testing.assert_allclose(got[0], expected, atol=1e-5)
    np.testing.assert_allclose(got[1], scores, atol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
def test_the_backends_kernel_is_given_the_documents(causal, monkeypatch):
    layer = ks.layers.MultiHeadSelfAttention(2, 4, causal=causal, positions="rotary")
    x, reset = normal(2, 6, 8), np.array([[0, 0, 1, 0, 1, 0], [0, 1, 0, 0, 0, 0]], bool)
    (expected,) = numpy(layer(x, reset=reset))
    calls = spied_kernel(monkeypatch)
    (got,) = numpy(layer(x, reset=reset))
    np.testing.assert_allclose(got, expected, atol=1e-5)
    (call,) = calls
    visible = same_document(reset) & (np.tril(np.ones((6, 6), bool)) | (not causal))
    np.testing.assert_array_equal(ops.convert_to_numpy(call["mask"])[:, 0], visible)


def test_a_scheme_is_given_positions_that_begin_again():
    class Absolute(ks.layers.PositionScheme):
        """Not relative, so that it matters from where positions count."""

        def transform(self, query, key, positions):
            assert len(positions.shape) == 1
            scale = ops.reshape(1 + ops.cast(positions, query.dtype), (-1, 1, 1))
            return query, key * scale

    layer = ks.layers.MultiHeadSelfAttention(2, 4, causal=True, positions=Absolute())
    x, reset = normal(2, 6, 8), np.array([[0, 0, 1, 0, 0, 0]] * 2, bool)
    y, first, second = numpy(layer(x, reset=reset), layer(x[:, :2]), layer(x[:, 2:]))
    np.testing.assert_allclose(y, np.concatenate([first, second], axis=1), atol=1e-5)


def test_resets_may_be_an_input_of_a_model():
    x, reset = keras.Input((None, 4)), keras.Input((None,), dtype="bool")
    block = ks.layers.TransformerDecoderBlock(8, 2)
    model = keras.Model([x, reset], block(x, reset=reset))
    x, reset = normal(2, 5, 4), np.array([[0, 0, 1, 0, 0]] * 2, bool)
    got, expected = numpy(model([x, reset]), block(x[:, 2:]))
    assert model.output_shape == (None, None, 4)
    np.testing.assert_allclose(got[:, 2:], expected, atol=1e-5)
