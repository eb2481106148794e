import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.inspection._gates import gates
from tests.layers.layer_equations import (
    gru_step,
    layer_norm_lstm_step,
    lstm_step,
    normal,
    peephole_lstm_step,
    randomise,
    sigmoid,
)

B, T, D, U = 3, 6, 4, 5
LSTMS = {
    "LSTM": lambda **kwargs: ks.layers.LSTM(U, **kwargs),
    "peephole": lambda **kwargs: ks.layers.RNN(ks.layers.PeepholeLSTMCell(U), **kwargs),
    "layer norm": lambda **kwargs: ks.layers.RNN(ks.layers.LayerNormLSTMCell(U), **kwargs),
}
MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 0, 1, 0, 0], [0, 1, 1, 1, 1, 0]], bool)


def built(layer):
    layer.build((None, None, D))
    return layer, randomise(layer)


def to_numpy(activations):
    return {name: ops.convert_to_numpy(a) for name, a in activations.items()}


def assert_close(got, expected):
    assert list(got) == list(expected)
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-5, err_msg=name)


def lstm_z(kind, x, h, weights):
    """What the gates' functions are taken of, before the peepholes."""
    if kind != "layer norm":
        return x @ weights[0] + h @ weights[1] + weights[2]

    def norm(v, gamma, beta):
        variance = v.var(-1, keepdims=True)
        return gamma * (v - v.mean(-1, keepdims=True)) / np.sqrt(variance + 1e-3) + beta

    kernel, recurrent, bias, g_x, b_x, g_h, b_h, *_ = weights
    return norm(x @ kernel + bias, g_x, b_x) + norm(h @ recurrent, g_h, b_h)


def lstm_gates(kind, x, weights, state=None, mask=None):
    """The papers' equations, step by step: `{name: (B, T, U)}`."""
    h, c = state or (np.zeros((len(x), U)), np.zeros((len(x), U)))
    found = {name: [] for name in "ifgo"}
    for t in range(x.shape[1]):
        z_i, z_f, z_g, z_o = np.split(lstm_z(kind, x[:, t], h, weights), 4, axis=-1)
        p_i, p_f, p_o = weights[-1] if kind == "peephole" else (0, 0, 0)
        i, f, g = sigmoid(z_i + p_i * c), sigmoid(z_f + p_f * c), np.tanh(z_g)
        o = sigmoid(z_o + p_o * (f * c + i * g))
        for name, value in zip("ifgo", (i, f, g, o), strict=True):
            found[name].append(value)
        step = {"LSTM": lstm_step, "peephole": peephole_lstm_step}.get(kind, layer_norm_lstm_step)
        more = {"epsilon": 1e-3} if kind == "layer norm" else {}
        new = step(x[:, t], h, c, *weights, **more)
        on = np.ones((len(x), 1), bool) if mask is None else mask[:, t, None]
        h, c = np.where(on, new[0], h), np.where(on, new[1], c)
    return {name: np.stack(values, 1) for name, values in found.items()}


def gru_gates(x, kernel, recurrent, bias, mask=None):
    h = np.zeros((len(x), U))
    found = {name: [] for name in "zrg"}
    for t in range(x.shape[1]):
        a = x[:, t] @ kernel + (bias[0] if bias.ndim == 2 else bias)
        a_z, a_r, a_g = np.split(a, 3, axis=-1)
        u_z, u_r, u_g = np.split(recurrent, 3, axis=-1)
        c_z, c_r, c_g = np.split(bias[1] if bias.ndim == 2 else 0 * bias, 3)
        z, r = sigmoid(a_z + h @ u_z + c_z), sigmoid(a_r + h @ u_r + c_r)
        inside = r * (h @ u_g + c_g) if bias.ndim == 2 else (r * h) @ u_g
        for name, value in zip("zrg", (z, r, np.tanh(a_g + inside)), strict=True):
            found[name].append(value)
        new = gru_step(x[:, t], h, kernel, recurrent, bias)
        on = np.ones((len(x), 1), bool) if mask is None else mask[:, t, None]
        h = np.where(on, new, h)
    return {name: np.stack(values, 1) for name, values in found.items()}


@pytest.mark.parametrize("kind", LSTMS)
def test_the_gates_of_lstms_are_the_papers_equations(kind):
    layer, weights = built(LSTMS[kind]())
    x = normal(B, T, D)
    assert_close(to_numpy(gates(layer, x)), lstm_gates(kind, x, weights))


@pytest.mark.parametrize("reset_after", [True, False])
def test_the_gates_of_a_gru_are_the_papers_equations(reset_after):
    layer, weights = built(ks.layers.GRU(U, reset_after=reset_after))
    x = normal(B, T, D)
    assert_close(to_numpy(gates(layer, x)), gru_gates(x, *weights))


def test_a_masked_step_leaves_the_state_that_later_gates_see():
    x = normal(B, T, D)
    layer, weights = built(ks.layers.LSTM(U))
    assert_close(to_numpy(gates(layer, x, mask=MASK)), lstm_gates("LSTM", x, weights, mask=MASK))
    layer, weights = built(ks.layers.GRU(U, reset_after=False))
    assert_close(to_numpy(gates(layer, x, mask=MASK)), gru_gates(x, *weights, mask=MASK))


def test_a_mask_of_numbers_is_cast_to_booleans():
    x = normal(B, T, D)
    layer, weights = built(ks.layers.LSTM(U))
    got = to_numpy(gates(layer, x, mask=MASK.astype("int32")))
    assert_close(got, lstm_gates("LSTM", x, weights, mask=MASK))


def test_the_mask_that_travels_with_x_is_taken():
    x = normal(B, T, D)
    x[~MASK] = 0
    layer, weights = built(ks.layers.LSTM(U))
    masked = keras.layers.Masking()(ops.convert_to_tensor(x))
    assert_close(to_numpy(gates(layer, masked)), lstm_gates("LSTM", x, weights, mask=MASK))


def test_going_backwards_gates_stand_in_the_order_of_the_input():
    layer, weights = built(ks.layers.LSTM(U, go_backwards=True))
    x = normal(B, T, D)
    expected = lstm_gates("LSTM", x[:, ::-1], weights, mask=MASK[:, ::-1])
    expected = {name: values[:, ::-1] for name, values in expected.items()}
    assert_close(to_numpy(gates(layer, x, mask=MASK)), expected)


def test_the_gates_start_from_a_given_state():
    layer, weights = built(ks.layers.LSTM(U))
    x, state = normal(B, T, D), [normal(B, U, seed=7), normal(B, U, seed=8)]
    got = to_numpy(gates(layer, x, initial_state=state))
    assert_close(got, lstm_gates("LSTM", x, weights, state=state))


def test_a_stateful_layer_shows_its_gates_from_where_it_is_and_stays_there():
    layer = ks.layers.LSTM(U, stateful=True)
    x = normal(B, T, D)
    layer.build((B, None, D))
    layer(x[:, :2])
    got = to_numpy(gates(layer, x[:, 2:]))
    again = to_numpy(gates(layer, x[:, 2:]))
    layer.reset_state()
    whole = {name: values[:, 2:] for name, values in to_numpy(gates(layer, x)).items()}
    assert_close(got, whole)
    assert_close(again, whole)


def test_one_time_step_has_gates_too():
    layer, weights = built(ks.layers.LSTM(U))
    x = normal(B, 1, D)
    assert_close(to_numpy(gates(layer, x)), lstm_gates("LSTM", x, weights))


def test_a_layer_without_gates_is_refused():
    layer, _ = built(ks.layers.SimpleRNN(U))
    with pytest.raises(ValueError, match="no gates to look at: its cell SimpleRNNCell"):
        gates(layer, normal(B, T, D))


def test_wrong_arguments_are_refused():
    layer = ks.layers.LSTM(U)
    x = normal(B, T, D)
    with pytest.raises(ValueError, match="has no weights yet"):
        gates(layer, x)
    built(layer)
    with pytest.raises(ValueError, match=r"`x` of LSTM must have shape \(B, T, D\)"):
        gates(layer, x[0])
    with pytest.raises(ValueError, match="must have 4 features"):
        gates(layer, x[..., :3])
    with pytest.raises(ValueError, match="`mask` of LSTM"):
        gates(layer, x, mask=MASK[:, :2])
    with pytest.raises(ValueError, match=r"must be \[h, c\]"):
        gates(layer, x, initial_state=[normal(B, U)])


def test_a_cell_that_multiplies_inside_a_gate_in_its_own_way_is_refused():
    class Strange(ks.layers.LSTMCell):
        products_inside_gates = True

    layer, _ = built(ks.layers.RNN(Strange(U)))
    with pytest.raises(ValueError, match="multiplies inside a gate"):
        gates(layer, normal(B, T, D))
