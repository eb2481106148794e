import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.layers.sequence_layer import SequenceLayer, implicit_mask
from keras_seq.testing import check_sequence_layer
from tests.layers.layer_equations import normal


class RunningSum(SequenceLayer):
    """The smallest layer with a state, written as the contract asks."""

    def call(self, x, mask=None, initial_state=None, return_state=False):
        if mask is not None:
            x = ops.where(ops.expand_dims(mask, -1), x, ops.zeros_like(x))
        start = self.get_initial_state(ops.shape(x)[0]) if initial_state is None else initial_state
        y = ops.cumsum(x, axis=1) + ops.expand_dims(ops.cast(start, x.dtype), 1)
        return (y, y[:, -1]) if return_state else y

    def get_initial_state(self, batch_size, max_length=None):
        return ops.zeros((batch_size, 4), dtype=self.compute_dtype)

    def compute_output_shape(self, x_shape):
        return x_shape


class TwoSided(SequenceLayer):
    causal = False

    def call(self, x):
        return x - ops.mean(x, axis=1, keepdims=True)


def test_a_layer_of_ones_own_that_defines_call_and_state_keeps_the_contract():
    results = check_sequence_layer(RunningSum(), (2, 5, 4)).results
    skipped = {law for law, result in results.items() if result != "holds"}
    no_xla = {"XLA changes nothing"} if keras.backend.backend() == "torch" else set()
    without = {"gradients are finite", "documents do not mix"}  # no weights, no `reset`
    assert skipped == without | no_xla


def test_a_layer_without_a_state_has_the_empty_tuple():
    assert ks.layers.FeedForward(3).get_initial_state(2, 5) == ()


def test_a_layer_that_is_not_causal_refuses_to_step_and_says_so():
    with pytest.raises(ValueError, match=r"`sided` .TwoSided. is not causal"):
        TwoSided(name="sided").step(normal(2, 1, 3), ())


@pytest.mark.parametrize(
    "layer",
    [
        ks.layers.MultiHeadCrossAttention(2, 3),
        ks.layers.AdditiveAttention(3),
        ks.layers.TransformerDecoderBlock(4, 2),
    ],
)
def test_a_state_that_depends_on_weights_needs_a_built_layer(layer):
    with pytest.raises(ValueError, match=f"`{layer.name}` .*no weights yet"):
        layer.get_initial_state(2, 5, context=normal(2, 3, 4))


def test_the_step_mask_is_dropped_where_call_has_none():
    layer = ks.layers.FeedForward(3)
    x = normal(2, 1, 4)
    layer(x)
    y, state = layer.step(x, (), mask=np.array([[True], [False]]))
    np.testing.assert_allclose(ops.convert_to_numpy(y), ops.convert_to_numpy(layer(x)))
    assert state == ()


def test_symbolic_calls_know_the_shapes_of_the_state():
    x = keras.Input((None, 4))
    y, (h, c) = ks.layers.LSTM(3, return_sequences=True)(x, return_state=True)
    assert (y.shape, h.shape, c.shape) == ((None, None, 3), (None, 3), (None, 3))


def test_symbolic_calls_know_the_shapes_of_attention_scores():
    x = keras.Input((5, 4))
    context = keras.Input((7, 6))
    y, scores = ks.layers.MultiHeadCrossAttention(2, 3)(x, context, return_attention_scores=True)
    assert (y.shape, scores.shape) == ((None, 5, 4), (None, 2, 5, 7))


class Doubled(SequenceLayer):
    """As Keras' own layers are written: `input_shape` is the name of the shape."""

    def call(self, inputs, initial_state=None, return_state=False):
        y = ops.concatenate([inputs, inputs], axis=-1)
        return (y, ()) if return_state else y

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2 * input_shape[-1])


class WithMean(SequenceLayer):
    """Puts the mean of a context next to each step."""

    def call(self, x, context=None, initial_state=None, return_state=False):
        state = ops.mean(context, axis=1) if initial_state is None else initial_state
        shape = (*ops.shape(x)[:2], state.shape[-1])
        y = ops.concatenate([x, ops.broadcast_to(ops.expand_dims(state, 1), shape)], axis=-1)
        return (y, state) if return_state else y

    def compute_output_shape(self, input_shape, context_shape):
        return (*input_shape[:-1], input_shape[-1] + context_shape[-1])


def test_an_output_shape_may_be_written_as_in_keras():
    x, context = keras.Input((None, 3)), keras.Input((None, 5))
    y = Doubled()(x)
    z = WithMean()(y, context=context)
    assert (y.shape, z.shape) == ((None, None, 6), (None, None, 11))
    model = keras.Model([x, context], z)
    x, context = normal(2, 4, 3), normal(2, 6, 5, seed=2)
    mean = np.repeat(context.mean(1, keepdims=True), 4, axis=1)
    expected = np.concatenate([x, x, mean], axis=-1)
    np.testing.assert_allclose(ops.convert_to_numpy(model([x, context])), expected, atol=1e-6)


def test_a_layer_without_an_output_shape_is_traced_for_it():
    assert TwoSided()(keras.Input((None, 3))).shape == (None, None, 3)


def test_the_mask_travels_on_where_the_time_axis_does():
    tokens = np.array([[3, 4, 0], [5, 0, 0]])
    embed = keras.layers.Embedding(9, 4, mask_zero=True)
    last = []
    for layer in (ks.layers.GRU(4, return_sequences=True), ks.layers.FeedForward(3)):
        y = layer(embed(tokens))
        np.testing.assert_array_equal(ops.convert_to_numpy(implicit_mask(y, None)), tokens != 0)
    last = ks.layers.GRU(4)(embed(tokens))
    assert implicit_mask(last, None) is None


def test_an_explicit_mask_wins_over_the_implicit_one():
    x = keras.layers.Embedding(9, 4, mask_zero=True)(np.array([[3, 4, 0]]))
    explicit = np.array([[1, 0, 1]])
    got = ops.convert_to_numpy(implicit_mask(x, explicit))
    np.testing.assert_array_equal(got, [[True, False, True]])
    assert implicit_mask(normal(2, 3, 4), None) is None
