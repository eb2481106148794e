import keras
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from keras import ops

import keras_seq as ks
from keras_seq.testing import check_sequence_layer
from tests.layers.attention.attention_equations import attention, band
from tests.layers.layer_equations import normal, randomise

few_examples = settings(max_examples=12, deadline=None, derandomize=True)
many_shapes = pytest.mark.needs_tensorflow(
    reason="eager JAX compiles each operation anew for each shape; there the contract is enough"
)


def numpy(*tensors):
    return [ops.convert_to_numpy(t) for t in tensors]


def windowed(window, **arguments):
    arguments = {"causal": True, "num_key_value_heads": 1, **arguments}
    layer = ks.layers.MultiHeadSelfAttention(2, 2, sliding_window=window, **arguments)
    layer.build((None, None, 3))
    return layer, randomise(layer, scale=0.8)


def in_chunks(layer, x, mask, lengths, max_length):
    """Outputs of calls (or steps, where the length is one) one after another."""
    state, outputs, start = layer.get_initial_state(len(x), max_length=max_length), [], 0
    for length in lengths:
        part = slice(start, start + length)
        arguments = {} if mask is None else {"mask": ops.convert_to_tensor(mask[:, part])}
        if length == 1:
            y, state = layer.step(x[:, part], state, **arguments)
        else:
            y, state = layer(x[:, part], initial_state=state, return_state=True, **arguments)
        outputs.append(ops.convert_to_numpy(y))
        start += length
    return np.concatenate(outputs, axis=1), state


@pytest.mark.parametrize("window, positions", [(2, "rotary"), (3, "alibi"), (9, None)])
def test_a_window_keeps_the_contract(window, positions):
    # Seven steps are long enough for a window of two to go in blocks.
    layer = ks.layers.MultiHeadSelfAttention(
        2, 2, causal=True, sliding_window=window, positions=positions
    )
    laws = ["stepping equals calling", "the future changes nothing"]
    check_sequence_layer(layer, (2, 7, 3), laws=None if window == 2 else laws)


@many_shapes
@few_examples
@example(window=2, time=9, masked=0.0, positions="alibi", seed=0)  # in blocks, the last one short
@example(window=3, time=9, masked=0.9, positions=None, seed=1)  # rows with nothing to see
@given(
    window=st.integers(1, 5),
    time=st.integers(1, 12),
    masked=st.sampled_from([0.0, 0.4]),
    positions=st.sampled_from([None, "rotary", "alibi"]),
    seed=st.integers(0, 99),
)
def test_a_position_attends_to_the_last_ones_and_no_other(window, time, masked, positions, seed):
    layer, weights = windowed(window, positions=positions)
    x = normal(2, time, 3, seed=seed)
    mask = np.random.default_rng(seed).random((2, time)) >= masked
    visible = mask[:, None] & band(time, window)
    expected, scores = attention(x, x, weights, visible, positions)
    given_mask = {"mask": ops.convert_to_tensor(mask)} if masked else {}
    (y,) = numpy(layer(x, **given_mask))
    np.testing.assert_allclose(y, expected, atol=1e-5)
    got = numpy(*layer(x, return_attention_scores=True, **given_mask))
    np.testing.assert_allclose(got[0], expected, atol=1e-5)
    np.testing.assert_allclose(got[1], scores, atol=1e-5)


@many_shapes
@few_examples
@example(window=2, lengths=[7, 1, 1, 3], masked=True, positions="rotary", spare=0)
@example(window=3, lengths=[1, 8, 2, 1], masked=False, positions="alibi", spare=5)
@given(
    window=st.integers(1, 4),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    masked=st.booleans(),
    positions=st.sampled_from([None, "rotary", "alibi"]),
    spare=st.integers(0, 9),
)
def test_chunks_of_any_length_give_the_numbers_of_one_call(
    window, lengths, masked, positions, spare
):
    layer, weights = windowed(window, positions=positions)
    time = sum(lengths)
    x = normal(2, time, 3, seed=time)
    mask = np.random.default_rng(time).random((2, time)) < 0.6 if masked else None
    visible = band(time, window) & (True if mask is None else mask[:, None])
    expected, _ = attention(x, x, weights, visible, positions)
    y, state = in_chunks(layer, x, mask, lengths, time + spare)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    _, whole = in_chunks(layer, x, mask, [time], time + spare)
    for a, b in zip(keras.tree.flatten(state), keras.tree.flatten(whole), strict=True):
        np.testing.assert_allclose(*numpy(a, b), atol=1e-5)


def test_the_cache_of_a_window_does_not_grow_with_the_sequence():
    layer, _ = windowed(3)
    assert layer.get_initial_state(2, max_length=1000)["key"].shape == (2, 1, 3, 2)
    assert layer.get_initial_state(2, max_length=2)["key"].shape == (2, 1, 2, 2)


def test_a_stream_goes_on_beyond_its_length_unless_the_cache_is_shorter_than_the_window():
    layer, weights = windowed(2)
    x = normal(2, 6, 3)
    y, _ = in_chunks(layer, x, None, [1] * 6, max_length=4)
    expected, _ = attention(x, x, weights, band(6, 2))
    np.testing.assert_allclose(y, expected, atol=1e-5)
    layer, _ = windowed(5)
    with pytest.raises(ValueError, match=r"4 time steps, and 4 are taken: 1 more"):
        in_chunks(layer, x, None, [4, 1], max_length=4)


@many_shapes
def test_scores_of_steps_and_chunks_are_those_of_the_whole_in_the_documented_places():
    layer, _ = windowed(3, num_key_value_heads=2)
    x = normal(2, 8, 3)
    _, whole = numpy(*layer(x, return_attention_scores=True))
    _, state = layer(x[:, :4], initial_state=layer.get_initial_state(2, 8), return_state=True)
    arguments = {"initial_state": state, "return_state": True, "return_attention_scores": True}
    _, scores, state = layer(x[:, 4:7], **arguments)
    (scores,) = numpy(scores)  # what the state held, positions 1 to 3, then 4 to 6
    np.testing.assert_allclose(scores, whole[:, :, 4:7, 1:7], atol=1e-6)
    _, scores, _ = layer.step(x[:, 7:], state, return_attention_scores=True)
    (scores,) = numpy(scores)
    np.testing.assert_allclose(scores[..., [5 % 3, 6 % 3, 7 % 3]], whole[:, :, 7:, 5:], atol=1e-6)


@pytest.mark.needs_tensorflow(reason="reads the tensors of a TensorFlow graph")
@pytest.mark.parametrize("time", [64, None])
def test_no_tensor_of_a_long_call_grows_with_the_square_of_time(time):
    import tensorflow as tf

    layer, _ = windowed(4, positions="alibi")
    function = tf.function(lambda x: layer(x), input_signature=[tf.TensorSpec((2, time, 3))])
    whole, *_ = numpy(*layer(normal(2, 64, 3), return_attention_scores=True))
    np.testing.assert_allclose(*numpy(function(normal(2, 64, 3)), whole), atol=1e-5)
    # Batch 2, two heads: the scores of a window of 4 in blocks are 2 * 2 * 64 * 8 numbers.
    largest = max(_sizes(function.get_concrete_function().graph, time))
    assert largest <= 2 * 2 * 64 * 8 if time else largest < 64


def _sizes(graph, time):
    """Sizes of all tensors; of unknown time, how many unknown sides they have beyond the first."""
    for operation in graph.get_operations():
        for tensor in operation.outputs:
            shape = tensor.shape
            if shape.rank is None:
                continue
            if time:
                yield shape.num_elements() or 0
            else:
                yield 64 * (sum(side is None for side in shape[1:]) > 1)


@pytest.mark.parametrize("time", [3, 7])
def test_an_empty_batch_keeps_its_time_steps(time):
    layer, _ = windowed(2)
    assert layer(np.zeros((0, time, 3), "float32")).shape == (0, time, 3)
    state = layer.get_initial_state(0, max_length=time)
    y, state = layer(np.zeros((0, time, 3), "float32"), initial_state=state, return_state=True)
    assert y.shape == (0, time, 3) and int(state["position"]) == time


def test_a_window_without_causality_is_refused():
    with pytest.raises(ValueError, match="`causal=True`.*sliding_window=3, causal=False"):
        ks.layers.MultiHeadSelfAttention(2, 2, sliding_window=3)


@pytest.mark.parametrize("window", [0, -1, 2.0, True])
def test_a_bad_window_is_named(window):
    with pytest.raises(ValueError, match=f"`sliding_window`.*sliding_window={window}"):
        ks.layers.MultiHeadSelfAttention(2, 2, causal=True, sliding_window=window)


def test_a_bias_over_the_places_of_a_window_is_refused():
    layer, _ = windowed(3)
    x, bias = normal(2, 1, 3), normal(2, 2, 1, 3)
    with pytest.raises(ValueError, match="`attention_bias` of .*cannot go with a state"):
        layer.step(x, layer.get_initial_state(2, 4), attention_bias=bias)
