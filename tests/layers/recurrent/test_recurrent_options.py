"""What recurrent layers do with resets, state between calls, masks anywhere and their wrappers."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.testing import check_sequence_layer
from tests.layers.layer_equations import normal, randomise

BATCH, TIME, FEATURES, UNITS = 3, 6, 4, 5

LAYERS = {
    "SimpleRNN": lambda **k: ks.layers.SimpleRNN(UNITS, **k),
    "LSTM": lambda **k: ks.layers.LSTM(UNITS, **k),
    "Peephole": lambda **k: ks.layers.RNN(ks.layers.PeepholeLSTMCell(UNITS), **k),
    "LayerNorm": lambda **k: ks.layers.RNN(ks.layers.LayerNormLSTMCell(UNITS), **k),
    "GRU": lambda **k: ks.layers.GRU(UNITS, **k),
    "GRU, reset before": lambda **k: ks.layers.GRU(UNITS, reset_after=False, **k),
}
every_layer = pytest.mark.parametrize("name", LAYERS)
numpy = ops.convert_to_numpy


def made(name, **arguments):
    """A built layer with random weights, and inputs for it."""
    layer, x = LAYERS[name](return_sequences=True, **arguments), normal(BATCH, TIME, FEATURES)
    layer.build(x.shape)
    randomise(layer)
    return layer, ops.convert_to_tensor(x)


def float32(x):
    return numpy(ops.cast(x, "float32"))


def boolean_mask(fraction, seed):
    return np.random.default_rng(seed).random((BATCH, TIME)) < fraction


@every_layer
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_steps_with_masks_and_resets_are_the_call(name, dtype):
    layer, x = made(name, dtype=dtype)
    mask, reset = (
        boolean_mask(0.6, 1),
        boolean_mask(0.3, 2),
    )  # masked steps at both ends and in the middle
    mask[0, :2] = mask[1, -2:] = False
    given = {"mask": ops.convert_to_tensor(mask), "reset": ops.convert_to_tensor(reset)}
    whole, end = layer(x, return_state=True, **given)
    state = layer.get_initial_state(BATCH)
    tolerance = {"float32": 1e-5, "mixed_float16": 1e-2, "mixed_bfloat16": 8e-2}[dtype]
    for t in range(TIME):
        now = {"mask": mask[:, t : t + 1], "reset": reset[:, t : t + 1]}
        now = {k: ops.convert_to_tensor(v) for k, v in now.items()}
        y, state = layer.step(x[:, t : t + 1], state, **now)
        np.testing.assert_allclose(float32(y[:, 0]), float32(whole[:, t]), atol=tolerance)
    for a, b in zip(state, end, strict=True):
        np.testing.assert_allclose(float32(a), float32(b), atol=tolerance)


@every_layer
def test_documents_in_one_row_do_not_change_each_other(name):
    layer, x = made(name)
    reset = np.zeros((BATCH, TIME), bool)
    reset[0, [0, 4]] = reset[1, 2] = True
    y = numpy(layer(x, reset=ops.convert_to_tensor(reset)))
    for row, start, stop in ((0, 0, 4), (0, 4, 6), (1, 0, 2), (1, 2, 6), (2, 0, 6)):
        alone = numpy(layer(x[row : row + 1, start:stop]))
        np.testing.assert_allclose(y[row, start:stop], alone[0], atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_a_document_that_ran_to_infinity_leaves_the_next_alone(training):
    layer = ks.layers.SimpleRNN(1, activation="linear", return_sequences=True)
    x, reset = np.ones((1, 6, 1), "float32"), np.arange(6)[None] == 4
    layer.build(x.shape)
    layer.set_weights([np.ones((1, 1)), np.full((1, 1), 1e38), np.zeros(1)])
    y = numpy(layer(x, reset=reset, training=training))[0, :, 0]
    np.testing.assert_array_equal(np.isfinite(y), [1, 1, 0, 0, 1, 1])
    np.testing.assert_array_equal(y[4:], y[:2])


@every_layer
def test_bidirectional_layers_keep_the_invariants(name):
    layer = keras.layers.Bidirectional(LAYERS[name](return_sequences=True))
    check_sequence_layer(layer, (BATCH, TIME, FEATURES))


@every_layer
def test_a_stateful_layer_begins_where_it_ended(name):
    layer, x = made(name, stateful=True)
    plain = LAYERS[name](return_sequences=True)
    plain.build(x.shape)
    for ours, theirs in zip(plain.trainable_variables, layer.trainable_variables, strict=True):
        ours.assign(theirs)
    whole = numpy(plain(x))
    layer.reset_state()
    for start in range(0, TIME, 2):
        y = numpy(layer(x[:, start : start + 2]))
        np.testing.assert_allclose(y, whole[:, start : start + 2], atol=1e-5)
    layer.reset_state()
    np.testing.assert_allclose(numpy(layer(x)), whole, atol=1e-5)


def test_a_state_that_is_given_leaves_a_stateful_layers_own_alone():
    layer, x = made("LSTM", stateful=True)
    layer(x)
    before = [numpy(s) for s in layer.states]
    layer(x, initial_state=layer.get_initial_state(BATCH))
    for a, b in zip(before, layer.states, strict=True):
        np.testing.assert_array_equal(a, numpy(b))


def test_a_stateful_layer_is_saved_with_its_state(tmp_path):
    inputs = keras.Input((TIME, FEATURES), batch_size=BATCH)
    model = keras.Model(inputs, ks.layers.GRU(UNITS, stateful=True)(inputs))
    x = normal(BATCH, TIME, FEATURES)
    model.predict(x, batch_size=BATCH, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        *(m.predict(x, batch_size=BATCH, verbose=0) for m in (model, loaded)), atol=1e-5
    )


def test_a_stateful_layer_takes_the_weights_of_a_plain_one():
    (stateful, x), (plain, _) = made("LSTM", stateful=True), made("LSTM")
    stateful.set_weights(plain.get_weights())
    np.testing.assert_allclose(*map(numpy, (stateful(x), plain(x))), atol=1e-6)


def test_states_of_another_number_of_rows_are_refused():
    layer, x = made("GRU", stateful=True)
    with pytest.raises(ValueError, match=r"GRU `.*` is stateful .* batch size of 3.*\(1, 6, 4\)"):
        layer(x[:1])
    with pytest.raises(
        ValueError, match=r"`initial_state` of GRU .* as many rows as sequences, 1.*\(3, 5\)"
    ):
        layer(x[:1], initial_state=layer.get_initial_state(BATCH))


@pytest.mark.needs_tensorflow(reason="other backends know the number of rows when they trace")
def test_rows_of_an_unknown_number_are_not_broadcast_against_the_state():
    import tensorflow as tf

    layer, x = made("GRU", stateful=True)
    run = tf.function(layer, input_signature=[tf.TensorSpec((None, TIME, FEATURES))])
    assert run(x).shape == (BATCH, TIME, UNITS)
    with pytest.raises(tf.errors.InvalidArgumentError):
        run(x[:1])


def test_a_stateful_layer_wants_a_fixed_batch():
    inputs = keras.Input((TIME, FEATURES))
    with pytest.raises(ValueError, match=r"stateful.*batch size.*batch_size"):
        ks.layers.LSTM(UNITS, stateful=True)(inputs)


@pytest.mark.parametrize("argument", ["mask", "reset"])
@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_masks_of_numbers_are_cast_to_booleans(argument, dtype):
    layer, x = made("LSTM")
    mask = boolean_mask(0.6, 1)
    got = layer(x, **{argument: ops.convert_to_tensor(mask.astype(dtype))})
    expected = layer(x, **{argument: ops.convert_to_tensor(mask)})
    np.testing.assert_array_equal(numpy(got), numpy(expected))


@pytest.mark.parametrize("argument", ["mask", "reset"])
@pytest.mark.parametrize(
    "shape, message",
    [
        ((BATCH, TIME + 1), r"\(B, T\).*\(3, 7\)"),
        ((BATCH, TIME, 1), r"\(B, T\).*\(3, 6, 1\)"),
        ((BATCH,), r"\(B, T\)"),
    ],
)
def test_masks_of_a_wrong_shape_are_refused(argument, shape, message):
    layer, x = made("LSTM")
    with pytest.raises(ValueError, match=f"`{argument}` of LSTM.*{message}"):
        layer(x, **{argument: ops.convert_to_tensor(np.ones(shape, bool))})


def test_zoneout_and_recurrent_dropout_are_on_in_training_alone():
    for arguments in ({"zoneout": 0.5}, {"recurrent_dropout": 0.5}):
        layer = ks.layers.GRU(UNITS, seed=1, return_sequences=True, **arguments)
        x = ops.convert_to_tensor(normal(BATCH, TIME, FEATURES))
        layer(x)
        a, b = numpy(layer(x)), numpy(layer(x))
        np.testing.assert_array_equal(a, b)
        a, b = numpy(layer(x, training=True)), numpy(layer(x, training=True))
        assert np.abs(a - b).max() > 1e-3


def test_zoneout_in_training_has_the_mean_of_inference():
    layer = ks.layers.SimpleRNN(1, activation="linear", zoneout=0.25, seed=0)
    x = np.ones((4000, 3, 1), "float32")
    layer(x)
    layer.cell.kernel.assign([[1.0]]), layer.cell.recurrent_kernel.assign([[0.5]])
    mean = numpy(layer(x, training=True)).mean()
    np.testing.assert_allclose(mean, numpy(layer(x)).mean(), rtol=0.02)  # linear: means commute


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_torch_gives_the_same_numbers_and_gradients_with_the_same_weights(name):
    torch = pytest.importorskip("torch", reason="compares with torch.nn")
    ours, x = made(name)
    theirs = getattr(torch.nn, name)(FEATURES, UNITS, batch_first=True)
    kernel, recurrent, bias = (numpy(w) for w in ours.trainable_variables)
    # torch has its gates in the order i, f, g, o as well; for the GRU r, z, n, and z the other way
    # round: h' = z h + (1 - z) n, as here.
    order = [0, 1, 2, 3] if name == "LSTM" else [1, 0, 2]
    biases = [bias, 0 * bias] if name == "LSTM" else [bias[0], bias[1]]

    def rows(w):
        return np.concatenate([np.split(w, len(order), axis=-1)[i] for i in order], axis=-1).T

    with torch.no_grad():
        for target, value in zip(theirs.parameters(), [kernel, recurrent, *biases], strict=True):
            target.copy_(torch.tensor(rows(value)))
    expected, _ = theirs(torch.tensor(numpy(x)))
    np.testing.assert_allclose(numpy(ours(x)), expected.detach().numpy(), atol=1e-5)
    torch.sum(torch.sin(expected)).backward()
    gradients = [p.grad.numpy() for p in theirs.parameters()]
    got = _weight_gradients(ours, x)
    np.testing.assert_allclose(rows(got[0]), gradients[0], atol=1e-5)
    np.testing.assert_allclose(rows(got[1]), gradients[1], atol=1e-5)
    got_bias = got[2] if name == "LSTM" else got[2][0]
    np.testing.assert_allclose(rows(got_bias), gradients[2], atol=1e-5)


def _weight_gradients(layer, x):
    """Of the sum of the sines of the outputs, by each weight."""
    if keras.backend.backend() == "jax":
        import jax

        def loss(values):
            pairs = list(zip(layer.trainable_variables, values, strict=True))
            with keras.StatelessScope(pairs):
                return ops.sum(ops.sin(layer(x, training=True)))

        return [numpy(g) for g in jax.grad(loss)([w.value for w in layer.trainable_variables])]
    if keras.backend.backend() == "torch":
        ops.sum(ops.sin(layer(x, training=True))).backward()
        return [numpy(w.value.grad) for w in layer.trainable_variables]
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = ops.sum(ops.sin(layer(x, training=True)))
    return [numpy(g) for g in tape.gradient(loss, [w.value for w in layer.trainable_variables])]


@pytest.mark.needs_tensorflow(reason="the checkpoints are TensorFlow's own")
@pytest.mark.parametrize("name, stateful", [("LayerNorm", False), ("LSTM", True)])
def test_a_checkpoint_of_tensorflow_holds_every_weight_and_state(name, stateful, tmp_path):
    import tensorflow as tf

    layer, x = made(name, stateful=stateful)
    layer(x)
    variables = [*layer.weights, *layer.states]
    kept = [numpy(v) for v in variables]
    checkpoint = tf.train.Checkpoint(layer=layer)
    path = checkpoint.save(tmp_path / "checkpoint")
    for variable in variables:
        variable.assign(variable + 1)
    checkpoint.restore(path)
    for variable, value in zip(variables, kept, strict=True):
        np.testing.assert_array_equal(numpy(variable), value, err_msg=variable.path)


def test_a_subclass_may_name_the_first_argument_of_call_otherwise():
    class Renamed(ks.layers.GRU):
        def call(self, x, **kwargs):
            return super().call(x, **kwargs)

    layer, inputs = Renamed(UNITS), keras.Input((TIME, FEATURES))
    model = keras.Model(inputs, layer(inputs))
    x = normal(BATCH, TIME, FEATURES)
    np.testing.assert_allclose(numpy(model(x)), numpy(layer(x)), atol=1e-6)
