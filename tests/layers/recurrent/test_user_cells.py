"""Cells from outside the package, and Keras' own, run by `RNN`."""

import inspect
import pathlib

import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.testing import check_sequence_layer
from tests.layers.layer_equations import normal, randomise, sigmoid
from tests.layers.recurrent.user_cells.lstm_projection import ProjectionLSTMCell
from tests.layers.recurrent.user_cells.min_gru import MinGRUCell

B, T, D, U, P = 2, 6, 4, 5, 3
numpy = ops.convert_to_numpy


def projection_lstm_step(x, state, kernel, recurrent_kernel, bias, projection):
    r, c = state
    i, f, g, o = np.split(x @ kernel + r @ recurrent_kernel + bias, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return [(sigmoid(o) * np.tanh(c)) @ projection, c]


def min_gru_step(x, state, kernel, bias):
    z, g = np.split(x @ kernel + bias, 2, axis=-1)
    return [(1 - sigmoid(z)) * state[0] + sigmoid(z) * g]


CELLS = {
    "LSTM with projection": (lambda: ProjectionLSTMCell(U, P), projection_lstm_step, [P, U]),
    "minGRU": (lambda: MinGRUCell(U), min_gru_step, [U]),
}
every_cell = pytest.mark.parametrize("name", CELLS)
STACKS = {
    "Keras' LSTM": lambda: keras.layers.LSTMCell(U),
    "a stack of Keras' cells": lambda: [keras.layers.GRUCell(U), keras.layers.SimpleRNNCell(P)],
    "a stack of ours": lambda: [ks.layers.LSTMCell(U), ks.layers.GRUCell(P)],
    "StackedRNNCells": lambda: keras.layers.StackedRNNCells([MinGRUCell(U), MinGRUCell(P)]),
    "one cell in a stack": lambda: [MinGRUCell(U)],
}
every_stack = pytest.mark.parametrize("name", STACKS)
MASK = np.array([[1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 1, 0]], bool)


def made(name, **arguments):
    """A layer with random weights, and its weights in float64."""
    layer = ks.layers.RNN(CELLS[name][0](), **arguments)
    layer.build((B, T, D))
    return layer, randomise(layer)


def expected_run(name, x, weights, mask=None):
    """The equations step by step: outputs (B, T, ...) and the last state."""
    _, step, widths = CELLS[name]
    state = [np.zeros((len(x), width)) for width in widths]
    outputs = []
    for t in range(x.shape[1]):
        new = step(x[:, t], state, *weights)
        on = np.ones((len(x), 1), bool) if mask is None else mask[:, t, None]
        state = [np.where(on, n, o) for n, o in zip(new, state, strict=True)]
        outputs.append(state[0])
    return np.stack(outputs, 1), state


def assert_all_close(got, expected, atol=1e-5):
    for a, b in zip(keras.tree.flatten(got), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), atol=atol)


@every_cell
@pytest.mark.parametrize("masked", [False, True])
def test_a_users_cell_runs_as_its_equations(name, masked):
    layer, weights = made(name, return_sequences=True, return_state=True)
    x, mask = normal(B, T, D), MASK if masked else None
    outputs, state = expected_run(name, x, weights, mask)
    got = layer(x, mask=None if mask is None else ops.convert_to_tensor(mask))
    assert_all_close(got, [outputs, *state])


@every_cell
def test_backwards_it_runs_on_the_flipped_sequence(name):
    layer, weights = made(name, go_backwards=True)
    x = normal(B, T, D)
    outputs, _ = expected_run(name, x[:, ::-1], weights)
    assert_all_close(layer(x), outputs[:, -1])


@every_cell
def test_unrolled_it_gives_the_same_numbers(name):
    layer, weights = made(name, unroll=True, return_sequences=True)
    x = normal(B, T, D)
    assert_all_close(layer(x), expected_run(name, x, weights)[0])


@every_cell
def test_a_users_cell_keeps_the_invariants_of_a_sequence_layer(name):
    check_sequence_layer(ks.layers.RNN(CELLS[name][0](), return_sequences=True), (B, 5, D))


@every_stack
def test_steps_of_a_stack_are_the_call(name):
    layer, x = ks.layers.RNN(STACKS[name](), return_sequences=True), normal(B, T, D)
    whole, end = layer(x, return_state=True)
    state = layer.get_initial_state(B)
    for t in range(T):
        y, state = layer.step(x[:, t : t + 1], state)
        assert_all_close(y[:, 0], whole[:, t])
    keras.tree.assert_same_structure(state, end)
    assert_all_close(state, end)


@every_stack
@pytest.mark.parametrize("return_sequences", [False, True])
def test_a_stack_gives_the_numbers_of_kerass_rnn(name, return_sequences):
    ours = ks.layers.RNN(STACKS[name](), return_sequences=return_sequences, return_state=True)
    theirs = keras.layers.RNN(
        ours.cell, return_sequences=return_sequences, return_state=True, go_backwards=False
    )
    x, mask = normal(B, T, D), ops.convert_to_tensor(MASK)
    ours(x)
    randomise(ours)
    assert_all_close(ours(x, mask=mask), theirs(x, mask=mask))


@every_cell
def test_a_stateful_layer_of_a_users_cell_begins_where_it_ended(name):
    layer, weights = made(name, stateful=True, return_sequences=True)
    x = normal(B, T, D)
    outputs, _ = expected_run(name, x, weights)
    for start in range(0, T, 2):
        assert_all_close(layer(x[:, start : start + 2]), outputs[:, start : start + 2])
    layer.reset_state()
    assert_all_close(layer(x), outputs)


@every_cell
def test_after_a_reset_a_row_of_a_users_cell_is_a_sequence_of_its_own(name):
    layer, weights = made(name, return_sequences=True)
    x, reset = normal(B, T, D), np.zeros((B, T), bool)
    reset[:, 2] = True
    y = layer(x, reset=ops.convert_to_tensor(reset))
    assert_all_close(y[:, 2:], expected_run(name, x[:, 2:], weights)[0])


class CellWithAStart(keras.layers.Layer):
    """Adds its inputs up from a number that is trained, and counts its steps."""

    state_size = (D, 1)

    def build(self, input_shape):
        self.start = self.add_weight(name="start", shape=(D,), initializer="ones")

    def get_initial_state(self, batch_size=None):
        start = ops.broadcast_to(ops.convert_to_tensor(self.start), (batch_size, D))
        return [start, ops.zeros((batch_size, 1), dtype="int32")]

    def call(self, x, states):
        total, count = states
        return total + x, [total + x, count + 1]


def test_a_cells_own_initial_state_is_where_a_layer_and_a_reset_row_start():
    layer, x = ks.layers.RNN(CellWithAStart(), return_sequences=True), normal(B, T, D)
    reset = np.arange(T) == np.array([[2], [4]])
    y, (_, count) = layer(x, reset=ops.convert_to_tensor(reset), return_state=True)
    expected = 1 + np.concatenate([x[0, :2].cumsum(0), x[0, 2:].cumsum(0)])
    expected[2:] = 1 + x[0, 2:].cumsum(0)
    np.testing.assert_allclose(numpy(y)[0], expected, atol=1e-5)
    np.testing.assert_array_equal(numpy(count)[:, 0], [4, 2])  # an integer state stays one


def test_a_given_state_of_unequal_widths_is_checked_and_one_row_stands_for_all():
    layer, _ = made("LSTM with projection", return_sequences=True)
    x, r, c = normal(B, T, D), normal(1, P, seed=2), normal(U, seed=3)
    rows = [np.repeat(r, B, axis=0), np.repeat(c[None], B, axis=0)]
    assert_all_close(layer(x, initial_state=[r, c]), layer(x, initial_state=rows))
    with pytest.raises(ValueError, match=r"`initial_state` of RNN.*\(B, 3\).*\(B, 5\)"):
        layer(x, initial_state=[c, r])


def test_dropout_of_cells_in_a_stack_is_one_mask_for_all_time_steps():
    cells = [ks.layers.SimpleRNNCell(8, activation="linear", dropout=0.5, seed=1), MinGRUCell(2)]
    layer = ks.layers.RNN(cells, return_sequences=True, return_state=True)
    x = np.ones((1, 9, 6), "float32")
    layer.build(x.shape)
    cells[0].set_weights([np.eye(6, 8), np.zeros((8, 8)), np.zeros(8)])
    states = [layer(x[:, :steps], training=True)[1] for steps in (1, 4, 9)]
    for (h,) in states:  # h of the last step alone is x after dropout
        assert set(np.unique(numpy(h)[0, :6])) <= {0.0, 2.0}
    whole = ks.layers.RNN([cells[0]], return_sequences=True)(x, training=True)
    np.testing.assert_array_equal(numpy(whole), np.repeat(numpy(whole)[:, :1], 9, axis=1))


@pytest.mark.parametrize(
    "cell, match",
    [(object(), "must have a `call`"), (keras.layers.Dense(2), "must have a `state_size`")],
)
def test_what_is_no_cell_is_refused(cell, match):
    with pytest.raises(ValueError, match=f"`cell` of RNN {match}"):
        ks.layers.RNN(cell)


def test_recompute_is_for_gated_cells():
    with pytest.raises(ValueError, match="`recompute` of RNN.*GatedCell"):
        ks.layers.RNN(MinGRUCell(U), recompute=4)


def test_a_cell_that_returns_another_number_of_states_is_named():
    class Wrong(MinGRUCell):
        def call(self, x, states):
            return states[0], [*states, *states]

    with pytest.raises(ValueError, match="`call` of cell Wrong must return as many states"):
        ks.layers.RNN(Wrong(U))(normal(B, T, D))


@pytest.mark.needs_tensorflow(reason="LiteRT files are made by TensorFlow")
@pytest.mark.parametrize(
    "name, streaming",
    [
        ("LSTM with projection", False),
        pytest.param("LSTM with projection", True, marks=pytest.mark.thorough),
        ("minGRU", False),
        pytest.param("minGRU", True, marks=pytest.mark.thorough),
    ],
)
def test_a_users_cell_is_exported_in_built_in_operators(name, streaming, tmp_path):
    x = keras.Input((None, D), name="x")
    model = keras.Model(x, ks.layers.RNN(CELLS[name][0](), return_sequences=True, name="y")(x))
    report = ks.export.to_litert(model, tmp_path / "m.tflite", streaming=streaming)
    assert report.agrees and all(op.isupper() for op in report.ops)


@pytest.mark.needs_tensorflow(reason="LiteRT files are made by TensorFlow")
def test_a_stack_of_kerass_cells_is_exported_in_built_in_operators(tmp_path):
    x = keras.Input((9, D), name="x")
    model = keras.Model(x, ks.layers.RNN(STACKS["a stack of Keras' cells"](), name="y")(x))
    report = ks.export.to_litert(model, tmp_path / "m.tflite", time=9)
    assert report.agrees and all(op.isupper() for op in report.ops)


PAGE = pathlib.Path(ks.__file__).parent.parent / "docs" / "extending" / "cells.md"


@pytest.mark.parametrize("cell", [ProjectionLSTMCell, MinGRUCell])
def test_the_page_on_cells_shows_the_cells_that_are_tested(cell):
    assert inspect.getsource(cell) in PAGE.read_text(encoding="utf-8")
