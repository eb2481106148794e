import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_seq.layers import (
    LSTM,
    GRUCell,
    LayerNormLSTMCell,
    LSTMCell,
    PeepholeLSTMCell,
    SimpleRNNCell,
)
from keras_seq.layers.recurrent._engine import Form, form_of, recur, recurrence_form
from keras_seq.layers.recurrent._scan import HAS_EXPLICIT_GRADIENTS
from keras_seq.layers.recurrent._steps import StepInputs
from tests.layers.layer_equations import gru_step, normal

UNITS, FEATURES = 3, 4

tensorflow_loops = pytest.mark.needs_tensorflow(
    reason="the loop to train and the loop to run are TensorFlow's; elsewhere there is one"
)

NEEDS_EXPLICIT_GRADIENTS = pytest.mark.skipif(
    not HAS_EXPLICIT_GRADIENTS, reason="autograd alone differentiates the loop"
)


def random_cell(cell, seed=0):
    cell.build((None, None, FEATURES))
    for i, variable in enumerate(cell.trainable_variables):
        variable.assign(normal(*variable.shape, seed=seed + i))
    return cell


def arguments(cell, batch=2, time=5, seed=0):
    """Random inputs (B, T, D) and a random state."""
    x = normal(batch, time, FEATURES, seed=seed + 50)
    state = [normal(batch, UNITS, seed=seed + 60 + i) for i, _ in enumerate(cell.state_names)]
    return ops.convert_to_tensor(x), [ops.convert_to_tensor(s) for s in state]


def boolean_mask(*shape, fraction=0.6, seed=0):
    return ops.convert_to_tensor(np.random.default_rng(seed).random(shape) < fraction)


def everything(cell, batch, time):
    """StepInputs with a mask with holes, resets, zoneout and dropout of the state."""
    dropped = 2 * np.random.default_rng(3).integers(0, 2, size=(batch, UNITS)).astype("float32")
    return StepInputs(
        mask=boolean_mask(batch, time),
        reset=boolean_mask(batch, time, fraction=0.3, seed=1),
        zoneout=[
            boolean_mask(batch, time, UNITS, fraction=0.3, seed=5 + i)
            for i in cell.state_names and range(len(cell.state_names))
        ],
        recurrent_dropout=ops.convert_to_tensor(dropped),
    )


def to_numpy(nest):
    return [ops.convert_to_numpy(t) for t in keras.tree.flatten(nest)]


def assert_equal(got, expected, atol=1e-6):
    for a, b in zip(to_numpy(got), to_numpy(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=atol)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("differentiable", [False, True])
def test_the_loop_is_the_equations_one_step_after_another(masked, reverse, differentiable):
    cell = random_cell(GRUCell(UNITS))
    x, state = arguments(cell)
    mask = boolean_mask(2, 5) if masked else None
    got, (last,) = recur(
        cell, x, state, StepInputs(mask), reverse=reverse, differentiable=differentiable
    )
    x, h = map(ops.convert_to_numpy, (x, state[0]))
    weights = [ops.convert_to_numpy(w) for w in (cell.kernel, cell.recurrent_kernel, cell.bias)]
    keep = np.ones((2, 5), bool) if mask is None else ops.convert_to_numpy(mask)
    outputs = []
    for t in reversed(range(5)) if reverse else range(5):
        h = np.where(keep[:, t : t + 1], gru_step(x[:, t], h, *weights), h)
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
    cell = random_cell(LSTMCell(UNITS))
    x, state = arguments(cell, batch, time, seed)
    mask, reset = (
        boolean_mask(batch, time, seed=seed),
        boolean_mask(batch, time, fraction=0.3, seed=seed + 1),
    )

    def run(start, stop, state):
        inputs = StepInputs(mask[:, start:stop], reset[:, start:stop])
        return recur(cell, x[:, start:stop], state, inputs)

    whole, end = run(0, time, state)
    first, state = run(0, split, state)
    parts = [ops.convert_to_numpy(first)]
    for t in range(split, time):
        y, state = run(t, t + 1, state)
        parts.append(ops.convert_to_numpy(y))
    assert_equal([np.concatenate(parts, 1), *state], [whole, *end], atol=1e-5)


@pytest.mark.parametrize("cell", [LSTMCell, GRUCell])
def test_running_backwards_is_running_the_flipped_sequence(cell):
    cell = random_cell(cell(UNITS))
    x, state = arguments(cell)
    mask = boolean_mask(2, 5)
    backwards = recur(cell, x, state, StepInputs(mask), reverse=True)
    flipped = recur(cell, ops.flip(x, 1), state, StepInputs(ops.flip(mask, 1)))
    assert_equal(backwards, flipped)


def test_where_the_mask_is_false_the_state_stays_and_the_output_repeats():
    cell = random_cell(LSTMCell(UNITS))
    x, state = arguments(cell)
    mask = np.array([[False, True, False, True, False]] * 2)
    y, _ = recur(cell, x, state, StepInputs(ops.convert_to_tensor(mask)))
    y = ops.convert_to_numpy(y)
    np.testing.assert_array_equal(y[:, 0], ops.convert_to_numpy(state[0]))
    np.testing.assert_array_equal(y[:, 2], y[:, 1])
    np.testing.assert_array_equal(y[:, 4], y[:, 3])
    nothing = ops.zeros((2, 5), dtype="bool")
    assert_equal(recur(cell, x, state, StepInputs(nothing))[1], state)


@pytest.mark.parametrize("cell", [LSTMCell, GRUCell])
def test_after_a_reset_a_row_is_a_sequence_of_its_own(cell):
    cell = random_cell(cell(UNITS))
    x, state = arguments(cell)
    reset = np.zeros((2, 5), bool)
    reset[0, 2] = True
    y, end = recur(cell, x, state, StepInputs(reset=ops.convert_to_tensor(reset)))
    zeros = [ops.zeros((1, UNITS)) for _ in state]
    document, document_end = recur(cell, x[:1, 2:], zeros)
    assert_equal([y[:1, 2:], *(s[:1] for s in end)], [document, *document_end])
    other, other_end = recur(cell, x, state)
    assert_equal(
        [y[1], y[0, :2], *(s[1] for s in end)], [other[1], other[0, :2], *(s[1] for s in other_end)]
    )


def test_zoneout_keeps_units_in_training_and_takes_the_mean_of_both_without():
    cell = random_cell(LSTMCell(UNITS))
    x, state = arguments(cell, time=1)
    _, new = recur(cell, x, state)
    kept = [boolean_mask(2, 1, UNITS, fraction=0.5, seed=i) for i in range(2)]
    _, got = recur(cell, x, state, StepInputs(zoneout=kept))
    assert_equal(got, [ops.where(k[:, 0], s, n) for k, s, n in zip(kept, state, new, strict=True)])
    _, got = recur(cell, x, state, StepInputs(zoneout=0.25))
    assert_equal(got, [0.25 * s + 0.75 * n for s, n in zip(state, new, strict=True)])


def test_dropout_of_the_state_acts_on_the_recurrent_product_alone():
    cell = random_cell(GRUCell(UNITS))
    x, state = arguments(cell, time=1)
    nothing = ops.zeros((2, UNITS))
    _, (got,) = recur(cell, x, state, StepInputs(recurrent_dropout=nothing))
    weights = [ops.convert_to_numpy(w) for w in (cell.kernel, cell.recurrent_kernel, cell.bias)]
    weights[1] = 0 * weights[1]  # as if the product had zeros, the old state still passes through z
    expected = gru_step(*map(ops.convert_to_numpy, (x[:, 0], state[0])), *weights)
    np.testing.assert_allclose(ops.convert_to_numpy(got), expected, atol=1e-5)


CELLS = {
    "SimpleRNN": lambda: SimpleRNNCell(UNITS),
    "LSTM": lambda: LSTMCell(UNITS),
    "Peephole": lambda: PeepholeLSTMCell(UNITS),
    "LayerNorm": lambda: LayerNormLSTMCell(UNITS),
    "GRU": lambda: GRUCell(UNITS),
}


def losses_and_gradients(cell, x, state, inputs, reverse, jit_compile, **options):
    """Of a loss that sees every output and the last state: its value, and all gradients."""
    weights = cell.trainable_variables

    def loss(x, state):
        y, end = recur(cell, x, state, inputs, reverse=reverse, **options)
        return ops.sum(ops.sin(y)) + sum(ops.sum(part**2) for part in end)

    if keras.backend.backend() == "jax":
        import jax

        def stateless(x, state, values):
            with keras.StatelessScope(list(zip(weights, values, strict=True))):
                return loss(x, state)

        function = jax.value_and_grad(stateless, (0, 1, 2))
        return to_numpy(jax.jit(function)(x, state, [w.value for w in weights]))
    import tensorflow as tf

    @tf.function(jit_compile=jit_compile, autograph=False)
    def run(x, *state):
        with tf.GradientTape() as tape:
            tape.watch([x, *state])
            value = loss(x, list(state))
        return value, tape.gradient(value, [x, *state, *(w.value for w in weights)])

    return to_numpy(run(x, *state))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(
    "jit_compile, with_inputs",
    [
        (True, True),
        (False, False),
        pytest.param(True, False, marks=pytest.mark.thorough),
        pytest.param(False, True, marks=pytest.mark.thorough),
    ],
)
@NEEDS_EXPLICIT_GRADIENTS
def test_the_explicit_gradient_is_that_of_the_loop(name, jit_compile, with_inputs):
    cell = random_cell(CELLS[name]())
    x, state = arguments(cell, batch=9, time=6)  # rows enough to be taken in groups
    inputs = everything(cell, 9, 6) if with_inputs else None
    reverse = with_inputs  # both directions are tried, each with and without XLA
    got, expected = (
        losses_and_gradients(cell, x, state, inputs, reverse, jit_compile, explicit=explicit)
        for explicit in (True, False)
    )
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    "with_inputs, steps",
    [(False, 4), (True, 4), pytest.param(False, 3, marks=pytest.mark.thorough)],
)  # of 6 steps: the last segment is filled up, and not
@NEEDS_EXPLICIT_GRADIENTS
def test_segments_that_are_run_again_have_the_same_gradient(name, jit_compile, with_inputs, steps):
    cell = random_cell(CELLS[name]())
    x, state = arguments(cell, batch=9, time=6)
    inputs = everything(cell, 9, 6) if with_inputs else None
    got, expected = (
        losses_and_gradients(cell, x, state, inputs, False, jit_compile, recompute=recompute)
        for recompute in (steps, None)
    )
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


@tensorflow_loops
@pytest.mark.parametrize("cell", [LSTMCell, GRUCell])
@pytest.mark.parametrize("masked", [False, True])
def test_both_loops_give_the_same_numbers_and_gradients(cell, masked):
    import tensorflow as tf

    cell = random_cell(cell(UNITS))
    x, state = arguments(cell)
    inputs = everything(cell, 2, 5) if masked else None
    results = []
    for differentiable in (True, False):
        with tf.GradientTape() as tape:
            tape.watch([x, *state])
            y, end = recur(cell, x, state, inputs, differentiable=differentiable)
            loss = tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(end[-1] ** 2)
        sources = [x, *state, *(w.value for w in cell.trainable_variables)]
        gradients = tape.gradient(loss, sources)
        results.append((y, end, [tf.convert_to_tensor(g) for g in gradients]))
    assert_equal(results[0], results[1], atol=1e-5)


@tensorflow_loops
@pytest.mark.parametrize(
    "batch, jit_compile, differentiable",  # one row, and groups that are not equally large
    [
        (1, False, True),
        (1, True, False),
        (9, False, False),
        (9, True, True),
        *(
            pytest.param(*case, marks=pytest.mark.thorough)
            for case in [(1, False, False), (1, True, True), (9, False, True), (9, True, False)]
        ),
    ],
)
def test_a_traced_loop_of_unknown_batch_and_time_gives_the_eager_numbers(
    differentiable, jit_compile, batch
):
    import tensorflow as tf

    cell = random_cell(LSTMCell(UNITS))
    x, _ = arguments(cell, batch=batch)
    mask = boolean_mask(batch, 5)
    spec = [tf.TensorSpec((None, None, FEATURES)), tf.TensorSpec((None, None), tf.bool)]

    @tf.function(input_signature=spec, jit_compile=jit_compile)
    def run(x, mask):
        zeros = [tf.zeros((tf.shape(x)[0], UNITS))] * 2
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, end = recur(cell, x, zeros, StepInputs(mask), differentiable=differentiable)
            loss = tf.reduce_sum(y**2)
        return y, end, tape.gradient(loss, x)

    zeros = [ops.zeros((batch, UNITS))] * 2
    with tf.GradientTape() as tape:
        tape.watch(x)
        y, end = recur(cell, x, zeros, StepInputs(mask))
        loss = tf.reduce_sum(y**2)
    assert_equal(run(x, mask), (y, end, tape.gradient(loss, x)), atol=1e-5)


@tensorflow_loops
def test_the_loop_to_run_holds_no_list_operations():
    import tensorflow as tf

    cell = random_cell(GRUCell(UNITS))
    _, state = arguments(cell)

    def operations(differentiable):
        @tf.function
        def run(x):
            return recur(cell, x, state, differentiable=differentiable)

        graph = run.get_concrete_function(tf.TensorSpec((2, None, FEATURES))).graph.as_graph_def()
        bodies = [graph.node, *(function.node_def for function in graph.library.function)]
        return {node.op for body in bodies for node in body}

    assert any("TensorList" in name for name in operations(True))
    assert not any("TensorList" in name for name in operations(False))


@tensorflow_loops
def test_backwards_no_weight_gradient_is_added_at_each_step():
    import tensorflow as tf

    cell = random_cell(LSTMCell(UNITS))
    _, state = arguments(cell)

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            y, _ = recur(cell, x, state)
            loss = tf.reduce_sum(y)
        return tape.gradient(loss, cell.recurrent_kernel.value)

    graph = run.get_concrete_function(tf.TensorSpec((2, 5, FEATURES))).graph.as_graph_def()
    in_loops = [
        node.name
        for function in graph.library.function
        for node in function.node_def
        if node.op == "MatMul" and "while" in function.signature.name
    ]
    assert len(in_loops) == 2  # h U forwards, da U^T backwards


def test_the_states_before_each_step_are_those_of_shorter_runs():
    cell = random_cell(LSTMCell(UNITS))
    x, state = arguments(cell, batch=9)
    inputs = StepInputs(mask=boolean_mask(9, 5))
    _, _, states = recur(cell, x, state, inputs, return_states=True)
    for t in range(5):
        before = state
        if t:
            _, before = recur(cell, x[:, :t], state, StepInputs(mask=inputs.mask[:, :t]))
        assert_equal([part[:, t] for part in states], before, atol=1e-5)


def test_a_layer_takes_the_form_of_the_innermost_context_that_knows_it():
    first, second = LSTM(UNITS), LSTM(UNITS)
    assert form_of(first) == Form()
    with recurrence_form(lambda layer: Form(steps_per_iteration=2)):
        with recurrence_form(lambda layer: Form(steps_per_iteration=3) if layer is first else None):
            assert form_of(first).steps_per_iteration == 3
            assert form_of(second).steps_per_iteration == 2
        assert form_of(first).steps_per_iteration == 2
    assert form_of(first) == Form()


def test_a_fused_form_is_asked_only_for_outputs_alone_from_zeros():
    x, mask = ops.convert_to_tensor(normal(2, 5, FEATURES)), boolean_mask(2, 5)
    calls = []

    def fused(cell, x, reverse):
        calls.append(reverse)
        return None  # "I do not know the cell": the loop runs

    def asked(arguments, **call):
        calls.clear()
        layer = LSTM(UNITS, **arguments)
        expected = layer(x, **call)
        if layer.stateful:
            layer.reset_state()
        with recurrence_form(lambda layer: Form(fused=fused)):
            assert_equal(layer(x, **call), expected)
        return calls

    assert asked({}) == [False] and asked({"go_backwards": True}) == [True]
    for arguments in ({"return_state": True}, {"stateful": True}, {"zoneout": 0.1}):
        assert asked(arguments) == []
    state = [ops.zeros((2, UNITS))] * 2
    for call in ({"mask": mask}, {"reset": mask}, {"initial_state": state}, {"return_state": True}):
        assert asked({}, **call) == []


@tensorflow_loops
@pytest.mark.parametrize("steps, loops", [(1, 1), (2, 1), (5, 0)])
def test_a_loop_takes_as_many_steps_an_iteration_as_its_form_says(steps, loops):
    import tensorflow as tf

    cell = random_cell(GRUCell(UNITS))
    x, state = arguments(cell)
    form = Form(steps_per_iteration=steps)
    run = tf.function(lambda x: recur(cell, x, state, differentiable=False, form=form)[0])
    graph = run.get_concrete_function(x).graph
    assert sum("While" in op.type for op in graph.get_operations()) == loops
    assert_equal(run(x), recur(cell, x, state)[0])
