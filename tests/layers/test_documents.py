"""Where documents of a row begin, and how far each step is into its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import ops

import keras_seq as ks
from keras_seq.layers._documents import by_rows, document_numbers, document_offsets
from tests.layers.layer_equations import normal

RESET = np.array([[0, 0, 1, 0, 1, 1, 0], [1, 0, 0, 0, 0, 0, 1]], bool)
WITHOUT_RESET_IN_STATE = {
    "attention": lambda: ks.layers.MultiHeadSelfAttention(2, 4, causal=True),
    "window": lambda: ks.layers.MultiHeadSelfAttention(2, 4, causal=True, sliding_window=2),
    "encoder": lambda: ks.layers.TransformerEncoderBlock(8, 2, causal=True),
    "decoder": lambda: ks.layers.TransformerDecoderBlock(8, 2),
    "learned": lambda: ks.layers.LearnedPositions(7),
    "rotary": lambda: ks.layers.RotaryEmbedding(),
}


def numpy(x):
    return ops.convert_to_numpy(x)


@pytest.mark.needs_tensorflow(reason="eager JAX compiles each operation anew for each shape")
@settings(max_examples=30, deadline=None, derandomize=True)
@given(reset=arrays.arrays(bool, st.tuples(st.integers(1, 3), st.integers(0, 9))))
def test_offsets_count_from_the_last_reset(reset):
    expected, number = np.zeros(reset.shape, int), np.zeros(reset.shape, int)
    for row, begins in enumerate(reset):
        begin = 0
        for t, begin_here in enumerate(begins):
            begin = t if begin_here else begin
            expected[row, t] = t - begin
            number[row, t] = sum(begins[: t + 1])
    np.testing.assert_array_equal(numpy(document_offsets(ops.convert_to_tensor(reset))), expected)
    np.testing.assert_array_equal(numpy(document_numbers(ops.convert_to_tensor(reset))), number)


def test_rows_may_stand_one_after_another():
    x, scale = normal(2, 7, 3, 2), np.arange(14, dtype="float32").reshape(2, 7)

    def function(a, b, t):  # of one sequence, as its contract says
        assert tuple(a.shape) == (1, 14, 3, 2) and tuple(t.shape) == (14,)
        return a * ops.reshape(t, (-1, 1, 1)), b

    y, same = by_rows(function, ops.convert_to_tensor(scale), x, x)
    np.testing.assert_allclose(numpy(y), x * scale[..., None, None])
    np.testing.assert_array_equal(numpy(same), x)


@pytest.mark.parametrize("name", WITHOUT_RESET_IN_STATE)
def test_a_reset_with_a_state_that_cannot_take_it_is_refused(name):
    layer, x = WITHOUT_RESET_IN_STATE[name](), normal(2, 7, 4)
    layer(x)
    state = layer.get_initial_state(2, 7)
    refused = pytest.raises(ValueError, match="`reset` of `.*cannot go with a state.*whole rows")
    with refused:
        layer(x, reset=RESET, initial_state=state)
    with refused:
        layer(x, reset=RESET, return_state=True)
    with refused:
        layer.step(x[:, :1], state, reset=RESET[:, :1])


def test_an_embedding_refuses_a_reset_with_a_state():
    layer = ks.layers.PositionalEmbedding(5, 4, 7)
    with pytest.raises(ValueError, match="`reset` of .*PositionalEmbedding.*go with a state"):
        layer(np.ones((2, 7), "int32"), reset=RESET, return_state=True)


@pytest.mark.parametrize(
    "make", [*WITHOUT_RESET_IN_STATE.values(), lambda: ks.layers.CausalWindow(2)]
)
def test_a_reset_of_another_shape_is_refused(make):
    layer = make()
    with pytest.raises(ValueError, match=r"`reset` of .* must have shape \(B, T\) = \(2, 7\)"):
        layer(normal(2, 7, 4), reset=RESET[:, :6])
