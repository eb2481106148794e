import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from layer_equations import gru_step, normal

from keras_seq.layers.cells import GRUCell, LSTMCell
from keras_seq.layers.recurrence import recur

tensorflow_loops = pytest.mark.needs_tensorflow(
    reason="the loop to train and the loop to run are TensorFlow's; elsewhere there is one"
)


def arguments(cell, batch=2, time=5, seed=0):
    """Random arguments of `recur` as tensors: x, kernel, bias, state."""
    width = cell.num_gates * cell.units
    x, kernel, bias = (
        normal(*shape, seed=seed + i)
        for i, shape in enumerate([(batch, time, width), (cell.units, width), (width,)])
    )
    state = [normal(batch, cell.units, seed=seed + 9 + i) for i, _ in enumerate(cell.state_names)]
    return keras.tree.map_structure(ops.convert_to_tensor, (x, kernel, bias, state))


def random_mask(batch, time, seed=0):
    return ops.convert_to_tensor(np.random.default_rng(seed).random((batch, time)) < 0.6)


def to_numpy(nest):
    return [ops.convert_to_numpy(t) for t in keras.tree.flatten(nest)]


def assert_equal(got, expected, atol=1e-6):
    for a, b in zip(to_numpy(got), to_numpy(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=atol)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("differentiable", [False, True])
def test_the_loop_is_the_equations_one_step_after_another(masked, reverse, differentiable):
    cell = GRUCell(3)
    x, kernel, bias, state = arguments(cell)
    mask = random_mask(2, 5) if masked else None
    got, (last,) = recur(
        cell, x, kernel, bias, state, mask=mask, reverse=reverse, differentiable=differentiable
    )
    x, kernel, bias, h = map(ops.convert_to_numpy, (x, kernel, bias, state[0]))
    keep = np.ones((2, 5), bool) if mask is None else ops.convert_to_numpy(mask)
    outputs = []
    for t in reversed(range(5)) if reverse else range(5):
        biases = np.stack([np.zeros_like(bias), bias])
        new = gru_step(x[:, t], h, np.eye(9), kernel, biases)
        h = np.where(keep[:, t : t + 1], new, h)
        outputs.append(h)
    np.testing.assert_allclose(ops.convert_to_numpy(got), np.stack(outputs, 1), atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(last), h, atol=1e-5)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 3),
    time=st.integers(1, 6),
    split=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_two_runs_in_a_row_are_one_run(batch, time, split, seed):
    split = min(split, time)
    cell = LSTMCell(2)
    x, kernel, bias, state = arguments(cell, batch, time, seed)
    mask = random_mask(batch, time, seed)
    whole, end = recur(cell, x, kernel, bias, state, mask=mask)
    first, state = recur(cell, x[:, :split], kernel, bias, state, mask=mask[:, :split])
    parts = [ops.convert_to_numpy(first)]
    for t in range(split, time):
        y, state = recur(cell, x[:, t : t + 1], kernel, bias, state, mask=mask[:, t : t + 1])
        parts.append(ops.convert_to_numpy(y))
    assert_equal([np.concatenate(parts, 1), *state], [whole, *end])


@pytest.mark.parametrize("cell", [LSTMCell(3), GRUCell(3)])
def test_running_backwards_is_running_the_flipped_sequence(cell):
    x, kernel, bias, state = arguments(cell)
    mask = random_mask(2, 5)
    backwards = recur(cell, x, kernel, bias, state, mask=mask, reverse=True)
    flipped = recur(cell, ops.flip(x, 1), kernel, bias, state, mask=ops.flip(mask, 1))
    assert_equal(backwards, flipped)


def test_where_the_mask_is_false_the_state_stays_and_the_output_repeats():
    cell = LSTMCell(3)
    x, kernel, bias, state = arguments(cell)
    mask = np.array([[False, True, False, True, False]] * 2)
    y, _ = recur(cell, x, kernel, bias, state, mask=ops.convert_to_tensor(mask))
    y = ops.convert_to_numpy(y)
    np.testing.assert_array_equal(y[:, 0], ops.convert_to_numpy(state[0]))
    np.testing.assert_array_equal(y[:, 2], y[:, 1])
    np.testing.assert_array_equal(y[:, 4], y[:, 3])
    nothing = ops.zeros((2, 5), dtype="bool")
    assert_equal(recur(cell, x, kernel, bias, state, mask=nothing)[1], state)


@tensorflow_loops
@pytest.mark.parametrize("cell", [LSTMCell(3), GRUCell(3)])
@pytest.mark.parametrize("masked", [False, True])
def test_both_loops_give_the_same_numbers_and_gradients(cell, masked):
    import tensorflow as tf

    x, kernel, bias, state = arguments(cell)
    mask = random_mask(2, 5) if masked else None
    results = []
    for differentiable in (True, False):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel, bias, *state])
            y, end = recur(cell, x, kernel, bias, state, mask=mask, differentiable=differentiable)
            loss = tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(end[-1] ** 2)
        results.append((y, end, tape.gradient(loss, [x, kernel, bias, *state])))
    assert_equal(results[0], results[1], atol=1e-5)


@tensorflow_loops
@pytest.mark.parametrize("differentiable", [False, True])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_traced_loop_of_unknown_batch_and_time_gives_the_eager_numbers(
    differentiable, jit_compile
):
    import tensorflow as tf

    cell = LSTMCell(3)
    x, kernel, bias, _ = arguments(cell)
    mask = random_mask(2, 5)
    spec = [tf.TensorSpec((None, None, 12)), tf.TensorSpec((None, None), tf.bool)]

    @tf.function(input_signature=spec, jit_compile=jit_compile)
    def run(x, mask):
        zeros = [tf.zeros((tf.shape(x)[0], 3))] * 2
        return recur(cell, x, kernel, bias, zeros, mask=mask, differentiable=differentiable)

    zeros = [ops.zeros((2, 3))] * 2
    assert_equal(run(x, mask), recur(cell, x, kernel, bias, zeros, mask=mask))


@tensorflow_loops
def test_the_loop_to_run_holds_no_list_operations():
    import tensorflow as tf

    cell = GRUCell(3)
    _, kernel, bias, state = arguments(cell)

    def operations(differentiable):
        @tf.function
        def run(x):
            return recur(cell, x, kernel, bias, state, differentiable=differentiable)

        graph = run.get_concrete_function(tf.TensorSpec((2, None, 9))).graph.as_graph_def()
        bodies = [graph.node, *(function.node_def for function in graph.library.function)]
        return {node.op for body in bodies for node in body}

    assert any("TensorList" in name for name in operations(True))
    assert not any("TensorList" in name for name in operations(False))
