import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import keras_seq as ks
from keras_seq.layers.recurrent import _bptt as backpropagation
from keras_seq.layers.recurrent import _engine as recurrence
from keras_seq.testing import check_sequence_layer
from tests.layers.layer_equations import gru_step, lstm_step, normal, randomise

PEERS = {"LSTM": (ks.layers.LSTM, keras.layers.LSTM), "GRU": (ks.layers.GRU, keras.layers.GRU)}
both = pytest.mark.parametrize("name", ["LSTM", "GRU"])


def outputs(y):
    return [ops.convert_to_numpy(part) for part in keras.tree.flatten(y)]


@pytest.mark.parametrize(
    "layer",
    [
        lambda: ks.layers.LSTM(4, return_sequences=True),
        lambda: ks.layers.LSTM(4, return_sequences=True, return_state=True, dropout=0.5),
        lambda: ks.layers.LSTM(4),
        lambda: ks.layers.GRU(4, return_sequences=True),
        lambda: ks.layers.GRU(
            4,
            return_sequences=True,
            use_bias=False,
            activation="relu",
            recurrent_activation="hard_sigmoid",
        ),
        lambda: ks.layers.GRU(4, return_sequences=True, return_state=True, go_backwards=True),
        lambda: ks.layers.GRU(4, return_sequences=True, reset_after=False),
        lambda: ks.layers.SimpleRNN(4, activation="sigmoid", return_sequences=True),
        lambda: ks.layers.LSTM(4, return_sequences=True, zoneout=0.2, recurrent_dropout=0.3),
        lambda: ks.layers.RNN(
            ks.layers.PeepholeLSTMCell(4, peephole_initializer="normal"), return_sequences=True
        ),
        lambda: ks.layers.RNN(ks.layers.LayerNormLSTMCell(4), return_sequences=True),
    ],
    ids=[
        "LSTM",
        "LSTM-state",
        "LSTM-last",
        "GRU",
        "GRU-no-bias",
        "GRU-backwards",
        "GRU-reset-before",
        "SimpleRNN",
        "LSTM-zoneout",
        "Peephole",
        "LayerNorm",
    ],
)
def test_recurrent_layers_keep_the_invariants(layer):
    check_sequence_layer(layer(), (2, 5, 3))


def test_lstm_is_the_papers_equations():
    layer, x = ks.layers.LSTM(4, return_sequences=True), normal(2, 6, 3)
    layer(x)
    kernel, recurrent, bias = randomise(layer)
    h, c = np.zeros((2, 4)), np.zeros((2, 4))
    y, (last_h, last_c) = layer(x, return_state=True)
    for t in range(6):
        h, c = lstm_step(x[:, t], h, c, kernel, recurrent, bias)
        np.testing.assert_allclose(ops.convert_to_numpy(y[:, t]), h, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(last_h), h, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(last_c), c, atol=1e-5)


def test_gru_is_the_papers_equations():
    layer, x = ks.layers.GRU(4, return_sequences=True), normal(2, 6, 3)
    layer(x)
    weights = randomise(layer)
    h = np.zeros((2, 4))
    for t, y in enumerate(np.moveaxis(ops.convert_to_numpy(layer(x)), 1, 0)):
        h = gru_step(x[:, t], h, *weights)
        np.testing.assert_allclose(y, h, atol=1e-5)


@both
@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 3),
    time=st.integers(2, 6),
    seed=st.integers(0, 99),
    go_backwards=st.booleans(),
    with_state=st.booleans(),
)
def test_numbers_are_those_of_keras(name, batch, time, seed, go_backwards, with_state):
    ours, theirs = (
        layer(4, return_sequences=True, return_state=True, go_backwards=go_backwards)
        for layer in PEERS[name]
    )
    x = normal(batch, time, 3, seed=seed)
    mask = np.random.default_rng(seed).random((batch, time)) < 0.7
    mask[:, -1] = True
    state = None
    if with_state:
        state = [normal(batch, 4, seed=seed + i) for i in range(len(ours.state_size))]
    ours(x), theirs(x)
    randomise(ours, seed)
    theirs.set_weights(ours.get_weights())
    arguments = {"mask": ops.convert_to_tensor(mask), "initial_state": state}
    got, expected = outputs(ours(x, **arguments)), outputs(theirs(x, **arguments))
    kept = np.flip(mask, 1) if go_backwards else mask  # outputs come in the order of running
    np.testing.assert_allclose(got[0][kept], expected[0][kept], atol=1e-5)
    for a, b in zip(got[1:], expected[1:], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@both
def test_weights_of_keras_can_be_set_both_ways(name):
    ours, theirs = (layer(4) for layer in PEERS[name])
    x = normal(2, 5, 3)
    ours(x), theirs(x)
    randomise(theirs)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(*map(ops.convert_to_numpy, (ours(x), theirs(x))), atol=1e-5)
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]


def test_initial_weights_are_made_like_those_of_keras():
    ours, theirs = ks.layers.LSTM(5), keras.layers.LSTM(5)
    ours.build((None, None, 3)), theirs.build((None, None, 3))
    np.testing.assert_array_equal(
        *(ops.convert_to_numpy(layer.cell.bias) for layer in (ours, theirs))
    )
    plain = ks.layers.LSTM(5, unit_forget_bias=False)
    plain.build((None, None, 3))
    np.testing.assert_array_equal(ops.convert_to_numpy(plain.cell.bias), np.zeros(20))


@pytest.mark.needs_tensorflow(reason="gradients are taken with a GradientTape")
@both
@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_those_of_keras(name, training):
    import tensorflow as tf

    ours, theirs = (layer(4, return_sequences=True) for layer in PEERS[name])
    x = tf.convert_to_tensor(normal(2, 5, 3))
    mask = tf.constant([[True] * 5, [True, False, True, True, False]])
    ours(x), theirs(x)
    randomise(ours)
    theirs.set_weights(ours.get_weights())
    found = []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, mask=mask, training=training)
            loss = tf.reduce_sum(tf.sin(y * tf.cast(mask, y.dtype)[..., None]))
        found.append(tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)]))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.needs_tensorflow(reason="other backends do not say whether gradients are recorded")
def test_gradients_are_taken_the_quick_way_without_saying_that_this_is_training(monkeypatch):
    import tensorflow as tf

    layer, x, runs = ks.layers.LSTM(4), tf.convert_to_tensor(normal(2, 5, 3)), []

    def explicit_run(*args, **kwargs):
        runs.append(args)
        return backpropagation.explicit_run(*args, **kwargs)

    monkeypatch.setattr(recurrence, "explicit_run", explicit_run)
    layer(x)
    assert not runs
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    assert len(runs) == 1 and np.abs(tape.gradient(y, x)).max() > 0


@both
def test_training_and_inference_give_the_same_numbers_without_dropout(name):
    layer, x = PEERS[name][0](4, return_sequences=True), normal(2, 5, 3)
    layer(x)
    randomise(layer)
    np.testing.assert_allclose(
        *(ops.convert_to_numpy(layer(x, training=training)) for training in (True, False)),
        atol=1e-6,
    )


@both
@pytest.mark.parametrize("merge_mode", ["concat", "sum"])
def test_bidirectional_of_keras_takes_the_layer(name, merge_mode):
    ours, theirs = (
        keras.layers.Bidirectional(layer(4, return_sequences=True), merge_mode=merge_mode)
        for layer in PEERS[name]
    )
    x = normal(2, 5, 3)
    ours(x), theirs(x)
    randomise(ours)
    theirs.set_weights(ours.get_weights())
    mask = ops.convert_to_tensor(np.array([[True] * 5, [True] * 3 + [False] * 2]))
    got, expected = (ops.convert_to_numpy(layer(x, mask=mask)) for layer in (ours, theirs))
    np.testing.assert_allclose(got[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(got[1, :3], expected[1, :3], atol=1e-5)


def test_stacked_layers_share_the_mask_of_the_embedding():
    tokens = np.array([[3, 4, 0, 0], [5, 6, 7, 8]])
    layers = [keras.layers.Embedding(9, 3, mask_zero=True), ks.layers.GRU(4, return_sequences=True)]
    model = keras.Sequential([*layers, ks.layers.LSTM(4)])
    short = ops.convert_to_numpy(model(tokens[:1, :2]))
    np.testing.assert_allclose(ops.convert_to_numpy(model(tokens))[:1], short, atol=1e-6)


def test_the_mask_is_reversed_with_the_outputs_of_a_backward_layer():
    tokens = np.array([[3, 4, 0, 0], [5, 6, 7, 8]])
    backwards = ks.layers.GRU(4, return_sequences=True, go_backwards=True)
    layers = [keras.layers.Embedding(9, 3, mask_zero=True), backwards, ks.layers.LSTM(4)]
    model = keras.Sequential(layers)
    short = ops.convert_to_numpy(model(tokens[:1, :2]))
    np.testing.assert_allclose(ops.convert_to_numpy(model(tokens))[:1], short, atol=1e-6)


@both
def test_dropout_drops_features_in_training_only_and_keeps_the_expectation(name):
    layer = PEERS[name][0](4, dropout=0.5, seed=1)
    x = np.ones((400, 3, 6), "float32")
    layer(x)
    weights = randomise(layer)
    inputs = []
    layer.cell.update = lambda x, h, state: (inputs.append(x), state)[1]
    first = x[:, :1]  # one step needs no loop, so the cell gets a plain tensor
    layer(first, training=False)
    layer(first, training=True)
    kept, dropped = (ops.convert_to_numpy(part) for part in inputs)
    bias = weights[2] if name == "LSTM" else weights[2][0]
    np.testing.assert_allclose(kept, np.tile(weights[0].sum(0) + bias, (400, 1)), atol=1e-5)
    assert np.abs(dropped - kept).max() > 0.1
    # 400 rows of 6 features, each 0 or 2 times w: the mean is off by about |w| sqrt(6 / 400).
    spread = np.sqrt((weights[0] ** 2).sum(0) / 400)
    assert np.all(np.abs(dropped.mean(0) - kept[0]) < 5 * spread)


def test_dropout_drops_the_same_features_at_every_time_step():
    layer = ks.layers.GRU(4, dropout=0.5, seed=1, return_sequences=True)
    layer(normal(2, 5, 6))
    layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    layer.cell.kernel.assign(normal(6, 12) / 4)  # no gate so near 0 or 1 that digits are lost
    # Without memory of its own (h U = 0) the hidden state follows the input alone, so a constant
    # input gives one candidate g for all steps: h_t = z h_{t-1} + (1 - z) g, and h_2 / h_1 = 1 + z.
    x = np.ones((3, 4, 6), "float32")
    h = ops.convert_to_numpy(layer(x, training=True))
    ratio = (h[:, 2] - h[:, 1]) / (h[:, 1] - h[:, 0])
    np.testing.assert_allclose(ratio, (h[:, 1] - h[:, 0]) / h[:, 0], rtol=1e-3)


@both
def test_integers_are_inputs_too(name):
    layer, x = PEERS[name][0](4, return_sequences=True), np.arange(30).reshape(2, 5, 3) % 4
    expected = ops.convert_to_numpy(layer(x.astype("float32")))
    keras_runs = keras.layers.RNN(layer.cell, return_sequences=True)
    for got in (layer(x), layer.step(x[:, :1], layer.get_initial_state(2))[0], keras_runs(x)):
        got = ops.convert_to_numpy(got)
        np.testing.assert_allclose(got, expected[:, : got.shape[1]], atol=1e-5)


def test_what_any_layer_takes_is_not_lost_on_the_cell():
    layer, x = ks.layers.GRU(4, activity_regularizer=keras.regularizers.L2(0.5)), normal(2, 5, 3)
    for again in (layer, ks.layers.GRU.from_config(layer.get_config())):
        y = ops.convert_to_numpy(again(x))
        np.testing.assert_allclose(*map(float, (*again.losses, 0.5 * np.sum(y**2) / 2)), rtol=1e-5)
    with pytest.warns(UserWarning, match="input_shape"):
        layer = ks.layers.GRU(4, input_shape=(5, 3))
    assert keras.Sequential([layer]).output_shape == (None, 4)


def test_a_state_given_at_the_start_is_where_it_starts():
    layer, x = ks.layers.LSTM(4, return_sequences=True), normal(2, 6, 3)
    whole = layer(x)
    _, state = layer(x[:, :2], return_state=True)
    rest = layer(x[:, 2:], initial_state=state)
    np.testing.assert_allclose(*map(ops.convert_to_numpy, (rest, whole[:, 2:])), atol=1e-6)


@both
@pytest.mark.parametrize("arguments, named", [
    ({"units": 0}, "`units`.*units=0"),
    ({"units": 2.0}, "`units`.*units=2.0"),
    ({"units": 2, "dropout": 1.0}, "`dropout`.*dropout=1.0"),
    ({"units": 2, "dropout": -0.1}, "`dropout`"),
])  # fmt: skip
def test_bad_constructor_arguments_are_named(name, arguments, named):
    with pytest.raises(ValueError, match=named):
        PEERS[name][0](**arguments)


@both
def test_inputs_of_another_rank_are_refused(name):
    with pytest.raises(
        ValueError, match=r"`sequences` of \w+ must have shape \(B, T, D\).*\(2, 3\)"
    ):
        PEERS[name][0](4)(normal(2, 3))
    layer = PEERS[name][0](4)
    layer(normal(2, 5, 3))
    with pytest.raises(ValueError, match=r"\(B, T, D\)"):
        layer(normal(2, 5))
    with pytest.raises(ValueError, match="expects 1 input"):
        layer([normal(2, 5, 3), normal(2, 4)])  # a state is `initial_state`


def test_a_state_of_the_wrong_structure_is_refused():
    layer, x = ks.layers.LSTM(4, name="memory"), normal(2, 5, 3)
    layer(x)
    h = np.zeros((2, 4))
    wrong = ([h], [h, np.zeros((2, 3))], h, [h, None], [[h, h]], [h, h, h], {"h": h, "c": h})
    for state in wrong:
        with pytest.raises(
            ValueError, match=r"`initial_state` of LSTM `memory`.*\[h, c\].*\(B, 4\)"
        ):
            layer(x, initial_state=state)


@both
def test_a_layer_that_gives_its_last_output_alone_cannot_be_stepped(name):
    layer = PEERS[name][0](4)
    with pytest.raises(ValueError, match="return_sequences=True"):
        layer.step(normal(2, 1, 3), layer.get_initial_state(2))


def test_a_backward_layer_cannot_be_stepped():
    layer = ks.layers.GRU(4, return_sequences=True, go_backwards=True)
    with pytest.raises(ValueError, match="not causal"):
        layer.step(normal(2, 1, 3), layer.get_initial_state(2))
