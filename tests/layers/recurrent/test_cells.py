import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.layers import (
    GatedCell,
    GRUCell,
    LayerNormLSTMCell,
    LSTMCell,
    PeepholeLSTMCell,
    SimpleRNNCell,
)
from tests.layers.layer_equations import (
    gru_step,
    layer_norm_lstm_step,
    lstm_step,
    normal,
    peephole_lstm_step,
)

CELLS = [SimpleRNNCell, LSTMCell, PeepholeLSTMCell, LayerNormLSTMCell, GRUCell]


def random_cell(cell, features=4, seed=0):
    """The cell with random weights, and those weights in float64."""
    cell.build((None, features))
    weights = []
    for i, variable in enumerate(cell.trainable_variables):
        weights.append(normal(*variable.shape, seed=seed + i))
        variable.assign(weights[-1])
    return cell, [w.astype("float64") for w in weights]


def one_step(cell, state_parts):
    x, state = normal(2, 4, seed=50), [normal(2, 3, seed=60 + i) for i in range(state_parts)]
    h, new = cell(ops.convert_to_tensor(x), [ops.convert_to_tensor(s) for s in state])
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, (h, new[0])))
    return x, state, [ops.convert_to_numpy(part) for part in new]


def assert_close(got, expected):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_the_simple_cell_is_elmans_equation(activation):
    cell, (kernel, recurrent, bias) = random_cell(SimpleRNNCell(3, activation))
    x, (h,), new = one_step(cell, 1)
    function = {"tanh": np.tanh, "sigmoid": lambda v: 1 / (1 + np.exp(-v))}
    function = function.get(activation, lambda v: np.maximum(v, 0))
    assert_close(new, [function(x @ kernel + h @ recurrent + bias)])


def test_the_lstm_cell_is_the_papers_equations():
    cell, weights = random_cell(LSTMCell(3))
    x, (h, c), new = one_step(cell, 2)
    assert_close(new, lstm_step(x, h, c, *weights))


def test_the_peephole_cell_is_the_papers_equations():
    cell, weights = random_cell(PeepholeLSTMCell(3))
    x, (h, c), new = one_step(cell, 2)
    assert_close(new, peephole_lstm_step(x, h, c, *weights))


def test_the_layer_normalized_cell_is_the_papers_equations():
    cell, weights = random_cell(LayerNormLSTMCell(3))
    x, (h, c), new = one_step(cell, 2)
    assert_close(new, layer_norm_lstm_step(x, h, c, *weights, epsilon=1e-3))


@pytest.mark.parametrize("reset_after", [True, False])
def test_the_gru_cell_is_the_papers_equations(reset_after):
    cell, weights = random_cell(GRUCell(3, reset_after=reset_after))
    x, (h,), new = one_step(cell, 1)
    assert_close(new, [gru_step(x, h, *weights)])


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("SimpleRNNCell", {"activation": "relu"}),
        ("LSTMCell", {}),
        ("LSTMCell", {"unit_forget_bias": False, "use_bias": False}),
        ("GRUCell", {}),
        ("GRUCell", {"reset_after": False}),
    ],
)
def test_keras_has_the_same_cell_with_the_same_weights(name, arguments):
    ours, theirs = (
        getattr(ks.layers, name)(3, **arguments),
        getattr(keras.layers, name)(3, **arguments),
    )
    theirs.build((None, 4))
    ours, weights = random_cell(ours)
    theirs.set_weights(weights)
    x, state, new = one_step(ours, len(ours.state_size))
    _, expected = theirs(x, state if len(state) > 1 else state[0])
    assert_close(new, map(ops.convert_to_numpy, keras.tree.flatten(expected)))


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_runs_in_keras_rnn(cell):
    x = normal(2, 5, 4)
    ours = ks.layers.RNN(cell(3), return_sequences=True)
    theirs = keras.layers.RNN(ours.cell, return_sequences=True)
    np.testing.assert_allclose(*map(ops.convert_to_numpy, (ours(x), theirs(x))), atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_a_cells_configuration_makes_the_same_cell(cell):
    ours = cell(3, kernel_regularizer="l2", recurrent_constraint="max_norm", zoneout=0.1)
    again = cell.from_config(ours.get_config())
    assert again.get_config() == ours.get_config()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("units", [0, -1, 2.5, True, None])
def test_units_must_be_a_positive_int(cell, units):
    with pytest.raises(ValueError, match=f"`units` of {cell.__name__}.*units={units!r}"):
        cell(units)


@pytest.mark.parametrize("rate", ["dropout", "recurrent_dropout", "zoneout"])
def test_rates_must_be_fractions(rate):
    with pytest.raises(ValueError, match=f"`{rate}` of GRUCell.*{rate}=1.0"):
        GRUCell(2, **{rate: 1.0})


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match="tanhh"):
        LSTMCell(2, activation="tanhh")


def test_a_cell_without_equations_says_what_to_define():
    with pytest.raises(NotImplementedError, match="must define `pointwise`"):
        GatedCell(2).pointwise(None, None)


def test_a_cell_of_its_own_keeps_a_fraction_of_its_units_in_training():
    cell = LSTMCell(50, zoneout=0.25, seed=1)
    x, old = normal(200, 4), [normal(200, 50, seed=60 + i) for i in range(2)]
    arguments = [ops.convert_to_tensor(x), [ops.convert_to_tensor(s) for s in old]]
    _, mean = cell(*arguments)
    _, new = cell(*arguments, training=True)
    for n, o, m in zip(new, old, mean, strict=True):
        kept = ops.convert_to_numpy(n) == o
        np.testing.assert_allclose(kept.mean(), 0.25, atol=0.02)  # of 10,000 units
        whole = (ops.convert_to_numpy(m) - 0.25 * o) / 0.75
        np.testing.assert_allclose(ops.convert_to_numpy(n)[~kept], whole[~kept], atol=1e-5)
