"""What `Stepper` accepts steps to the numbers of the model's own call; it refuses the rest."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_seq as ks
from keras_seq.generation import Generator
from keras_seq.stepping import Stepper, register_pointwise
from tests.generation.generation_models import shaken

T, D = 5, 4
RNG = np.random.default_rng(0)


def normal(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


def assert_steps(model, *inputs, target=None):
    """Stepping from the very first step gives the model's own plain call."""
    stepper = Stepper(model, target=target, self_check=False)
    names = stepper.graph.input_names
    arrays = dict(zip(names, inputs, strict=True))
    structure = model.input if isinstance(model.input, (dict, list, tuple)) else [model.input]
    if isinstance(structure, dict):
        whole = model(arrays)
    else:
        whole = model([arrays[n] for n in names] if len(names) > 1 else arrays[names[0]])
    context = {name: arrays[name] for name in stepper.context_inputs}
    x = {name: arrays[name] for name in stepper.graph.targets}
    (length,) = {value.shape[1] for value in x.values()}
    (rows,) = {len(value) for value in x.values()}
    state, parts = stepper.get_initial_state(rows, length, context or None), []
    for t in range(length):
        y, state = stepper.step({n: v[:, t : t + 1] for n, v in x.items()}, state)
        parts.append(ops.convert_to_numpy(y))
    got = np.concatenate(parts, axis=1)
    np.testing.assert_allclose(got, ops.convert_to_numpy(whole), atol=2e-5)


def assert_refused(model, *words, target=None):
    with pytest.raises(ValueError, match="(?s)" + ".*".join(words)):
        Stepper(model, target=target, self_check=False)


def sequence(function, length=None, width=D):
    x = keras.Input((length, width))
    return keras.Model(x, function(x))


# Start states


class RunningSum(layers.Layer):
    """Keeps the contract without deriving from `SequenceLayer`."""

    def get_initial_state(self, batch_size, max_length=None):
        return ops.zeros((batch_size, D))

    def call(self, x, initial_state=None, return_state=False):
        start = ops.zeros_like(x[:, 0]) if initial_state is None else initial_state
        y = ops.expand_dims(start, 1) + ops.cumsum(x, axis=1)
        return (y, y[:, -1]) if return_state else y

    def step(self, x, state, mask=None):
        return self.call(x, initial_state=state, return_state=True)

    def compute_output_shape(self, x_shape, initial_state_shape=None):
        return x_shape


def test_a_layer_that_keeps_the_contract_by_itself_keeps_its_start_state():
    start, x = keras.Input((D,), name="start"), keras.Input((None, D), name="target")
    given = keras.Model([start, x], RunningSum()(x, initial_state=start))
    assert_steps(given, normal(2, D), normal(2, T, D))
    state = ops.convert_to_tensor(normal(2, D))
    assert_steps(sequence(lambda x: RunningSum()(x, initial_state=state)), normal(2, T, D))


@pytest.mark.parametrize("state", [
    normal(1, 3), normal(3), normal(2, 3), [normal(2, 3)], keras.Variable(normal(1, 3)),
    ops.convert_to_tensor(normal(2, 3)),
])  # fmt: skip
def test_a_constant_start_state_is_kept(state):
    model = sequence(lambda x: ks.layers.GRU(3, return_sequences=True)(x, initial_state=state))
    zeros = sequence(lambda x: model.layers[-1](x))
    x = normal(2, T, D)
    assert_steps(model, x)
    assert np.abs(ops.convert_to_numpy(model(x)) - ops.convert_to_numpy(zeros(x))).max() > 1e-3


def test_both_states_of_an_lstm_may_be_constants_and_variables():
    state = [keras.Variable(normal(2, 3)), normal(1, 3)]
    layer = ks.layers.LSTM(3, return_sequences=True)
    assert_steps(sequence(lambda x: layer(x, initial_state=state)), normal(2, T, D))


def test_a_variable_as_start_state_is_read_anew():
    start = keras.Variable(np.zeros((1, 3), "float32"))
    model = sequence(lambda x: ks.layers.GRU(3, return_sequences=True)(x, initial_state=start))
    Stepper(model)
    start.assign(normal(1, 3))
    assert_steps(model, normal(2, T, D))


def test_a_window_starts_with_the_inputs_that_it_is_given():
    state = {"window": normal(2, 3, D).astype("float64")}
    layer = ks.layers.CausalWindow(3)
    assert_steps(sequence(lambda x: layer(x, initial_state=state)), normal(2, T, D))


def test_rotary_positions_start_where_they_are_told_to():
    layer = ks.layers.RotaryEmbedding()
    model = sequence(lambda x: layer(x, initial_state={"position": 7}))
    assert_steps(model, normal(2, T, D))


def test_a_learned_start_state_trains_steps_and_is_saved(tmp_path):
    x = keras.Input((None, D))
    start = ks.layers.LearnedInitialState([3, 3], name="start")(x)
    y = ks.layers.LSTM(3, return_sequences=True)(x, initial_state=start)
    model = shaken(keras.Model(x, layers.Dense(2)(y)))
    model.compile("adam", "mse")
    before = [np.array(w) for w in model.get_layer("start").get_weights()]
    model.fit(normal(2, T, D), normal(2, T, 2), verbose=0)
    after = model.get_layer("start").get_weights()
    assert all(np.abs(a - b).max() > 0 for a, b in zip(after, before, strict=True))
    assert_steps(model, normal(2, T, D))
    model.save(tmp_path / "model.keras")
    assert_steps(keras.saving.load_model(tmp_path / "model.keras"), normal(2, T, D))


def test_generation_goes_on_from_the_learned_start_state():
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(11, 6)(tokens)
    start = ks.layers.LearnedInitialState(6, initializer="random_normal")(tokens)
    x = ks.layers.GRU(6, return_sequences=True)(x, initial_state=start)
    model = shaken(keras.Model(tokens, layers.Dense(11)(x)))
    row = [[3, 5]]
    written = ops.convert_to_numpy(Generator(model, 6).generate(prompt=row).tokens)
    for _ in range(6):
        logits = ops.convert_to_numpy(model(np.array(row)))
        row = [[*row[0], int(logits[0, -1].argmax())]]
    assert written.tolist() == row


def test_a_state_that_depends_on_the_target_is_refused_with_what_to_use():
    layer = ks.layers.GRU(D, return_sequences=True, name="culprit")
    model = sequence(lambda x: layer(x, initial_state=layers.GlobalAveragePooling1D()(x)))
    assert_refused(model, "rank-3|time|culprit")
    x = keras.Input((None, D))
    dense = layers.Dense(3)(x)
    y = ks.layers.GRU(3, return_sequences=True, name="culprit")(x, initial_state=dense[:, 0])
    with pytest.raises(ValueError):
        Stepper(keras.Model(x, y), self_check=False)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_constant_context_is_attended_to(rows):
    context = normal(rows, 3, 6)
    layer = ks.layers.MultiHeadCrossAttention(2, 4)
    assert_steps(sequence(lambda x: layer(x, context)), normal(2, T, D))
    layer = ks.layers.AdditiveAttention(4)
    assert_steps(sequence(lambda x: layer(x, normal(2, 3, 6))), normal(2, T, D))


def test_a_bias_over_all_positions_is_refused_by_name():
    layer = ks.layers.MultiHeadSelfAttention(2, 2, causal=True, name="culprit")
    assert_refused(sequence(lambda x: layer(x, attention_bias=normal(1, 2, T, T)), T), "culprit",
                   "`attention_bias`")  # fmt: skip


# Activations


def flipped(x):
    return ops.flip(x, axis=1)


@pytest.mark.parametrize("activation", [
    layers.Softmax(axis=1), layers.Conv1D(D, 2, padding="same"), ops.flip, flipped, layers.PReLU(),
    layers.Activation(ops.flip), layers.Softmax(axis=0),
])  # fmt: skip
@pytest.mark.parametrize("holder", [
    lambda a: layers.Dense(D, activation=a, name="culprit"),
    lambda a: layers.Activation(a, name="culprit"),
    lambda a: layers.EinsumDense("btd,de->bte", (None, D), activation=a, name="culprit"),
    lambda a: ks.layers.FeedForward(6, activation=a, name="culprit"),
    lambda a: ks.layers.TransformerDecoderBlock(6, 2, activation=a, name="culprit"),
])  # fmt: skip
def test_an_activation_that_mixes_time_steps_is_refused(activation, holder):
    x = keras.Input((T, D))
    try:
        y = holder(activation)(x)
    except Exception as error:
        pytest.skip(f"Keras builds no such layer: {type(error).__name__}")
    assert_refused(keras.Model(x, y), "culprit", "cannot be stepped")


@pytest.mark.parametrize("activation", [
    layers.Softmax(), layers.LeakyReLU(), layers.PReLU(shared_axes=[1]), ops.tanh, "gelu",
    "softmax", layers.Activation("relu"), keras.activations.glu, None,
])  # fmt: skip
def test_an_activation_of_each_time_step_steps(activation):
    assert_steps(sequence(lambda x: layers.Dense(D, activation=activation)(x), T), normal(2, T, D))


def test_a_function_of_ones_own_steps_once_it_is_declared():
    def double(x):
        return 2 * x

    model = sequence(lambda x: layers.Dense(D, activation=double, name="culprit")(x))
    assert_refused(model, "culprit", "double", "register_pointwise")
    register_pointwise(double)
    assert_steps(model, normal(2, T, D))


def test_an_activation_that_is_reassigned_is_looked_at_again():
    dense = layers.Dense(D, activation="relu", name="culprit")
    model = sequence(lambda x: dense(x))
    stepper = Stepper(model)
    dense.activation = keras.activations.tanh
    assert stepper.check() < 1e-5
    dense.activation = flipped
    with pytest.raises(ValueError, match="culprit.*flipped"):
        stepper.get_initial_state(batch_size=2)


def test_a_stepper_steps_what_lora_and_quantization_make_of_its_model():
    model = sequence(lambda x: layers.Dense(D, name="dense")(x))
    stepper, x = Stepper(model), normal(2, T, D)
    dense = model.get_layer("dense")
    for change in (lambda: dense.enable_lora(2), lambda: dense.quantize("int8")):
        change()
        for variable in dense.trainable_variables:
            variable.assign(normal(*variable.shape))
        y, _ = stepper.prefill(x, stepper.get_initial_state(2, T))
        np.testing.assert_allclose(y, model(x), atol=1e-5)


# Training, masks, names


@pytest.mark.parametrize("layer", [
    lambda: layers.BatchNormalization(name="culprit"),
    lambda: layers.TimeDistributed(layers.BatchNormalization(), name="culprit"),
    lambda: layers.Dropout(0.5, name="culprit"),
    lambda: ks.layers.GRU(3, dropout=0.5, return_sequences=True, name="culprit"),
])  # fmt: skip
def test_a_layer_that_the_model_trains_by_itself_is_refused(layer):
    model = sequence(lambda x: layer()(x, training=True))
    assert_refused(model, "culprit", "training=True")
    inner = sequence(lambda x: layer()(x))
    assert_refused(sequence(lambda x: inner(x, training=True)), "culprit", "training=True")


def two_inputs(a_first):
    a, b = keras.Input((None, 3), name="a"), keras.Input((None, 3), name="b")
    y = ks.layers.GRU(3, return_sequences=True)(a) * 2.0 + layers.Dense(3)(b)
    return shaken(keras.Model([a, b] if a_first else [b, a], y))


@pytest.mark.parametrize("a_first", [True, False])
def test_a_model_inside_gets_its_inputs_by_name(a_first):
    x = keras.Input((None, D))
    a, b = layers.Dense(3)(x), layers.Dense(3)(x)
    inner = two_inputs(a_first)
    assert_steps(shaken(keras.Model(x, inner({"a": a, "b": b}))), normal(2, T, D))
    # Keras leaves a key aside that the inner model does not know.
    assert_steps(shaken(keras.Model(x, inner({"b": b, "a": a, "c": x}))), normal(2, T, D))


def test_a_surplus_key_of_a_model_that_takes_a_dict_is_refused_in_words():
    ins = {n: keras.Input((None, 3), name=n) for n in "ab"}
    inner = keras.Model(ins, ins["a"] + ins["b"], name="culprit")
    x = keras.Input((None, 3))
    try:
        model = keras.Model(x, inner({"a": x, "b": x * 2.0, "c": x}))
    except Exception:
        pytest.skip("Keras refuses it itself")
    assert_refused(model, "culprit", r"\['a', 'b'\]", "'c'")


def test_a_mask_passed_to_a_model_inside_is_kept():
    inner = sequence(lambda x: ks.layers.GRU(3, return_sequences=True)(x))
    x = keras.Input((None, D))
    model = shaken(keras.Model(x, inner(x, mask=ops.greater(x[..., 0], 0.0))))
    plain = keras.Model(x, inner(x))
    data = normal(2, T, D)
    assert_steps(model, data)
    masked, unmasked = (ops.convert_to_numpy(m(data)) for m in (model, plain))
    assert np.abs(masked - unmasked).max() > 1e-3


def test_a_mask_of_the_context_for_a_model_on_the_target_is_refused():
    inner = sequence(lambda x: ks.layers.GRU(3, return_sequences=True)(x))
    inner.name = "culprit"
    x, m = keras.Input((T, D), name="target"), keras.Input((T,), dtype="bool", name="m")
    assert_refused(keras.Model([x, m], inner(x, mask=m)), "culprit", "mask")


def test_a_layer_named_as_the_second_call_of_another_has_a_state_of_its_own():
    shared = ks.layers.GRU(D, return_sequences=True, name="gru")
    other = ks.layers.GRU(D, return_sequences=True, name="gru_call_2")
    model = shaken(sequence(lambda x: shared(other(shared(x)))))
    assert len(Stepper(model).get_initial_state(batch_size=1)["layers"]) == 3
    assert_steps(model, normal(2, T, D))


def test_a_mask_that_keras_attention_deletes_is_deleted_in_steps_too():
    source = keras.Input((None,), dtype="int32", name="source")
    encoder = keras.Sequential([keras.Input((None,), dtype="int32"),
                                layers.Embedding(9, D, mask_zero=True)])  # fmt: skip
    memory = encoder(source)
    x = keras.Input((None, D), name="target")
    y = x + layers.MultiHeadAttention(2, 2)(x, memory)
    y = y + ks.layers.MultiHeadCrossAttention(2, 2)(y, memory)
    y = y + layers.MultiHeadAttention(2, 2)(y, memory)
    model = shaken(keras.Model([source, x], y))
    ids = np.array([[3, 4, 0, 0], [5, 6, 7, 0]])
    assert_steps(model, ids, normal(2, T, D))


# Shapes that agree by chance


@pytest.mark.parametrize("model", [
    lambda x: layers.Add(name="culprit")([x, ops.mean(x, -1)]),
    lambda x: ops.subtract(x, ops.mean(x, -1)),
    lambda x: ops.where(ops.mean(x, -1) > 0, x, -x),
])  # fmt: skip
def test_operands_of_different_rank_are_refused(model):
    assert_refused(sequence(model, D, D), "3 axes", "aligned at their ends")


@pytest.mark.parametrize("function", [
    lambda x: layers.EinsumDense("btd,de->bte", (D, 3), bias_axes="te", name="culprit")(x),
    lambda x: layers.EinsumDense("...d,de->...e", 3, bias_axes="e")(x) * normal(D, 1),
    lambda x: layers.Rescaling(np.arange(1.0, 1 + D).reshape(D, 1), name="culprit")(x),
    lambda x: layers.Rescaling(1.0, normal(1, D, 1), name="culprit")(x),
    lambda x: ops.clip(x, normal(D, 1) - 1, normal(D, 1)),
    lambda x: layers.PReLU(name="culprit")(x),
])  # fmt: skip
def test_weights_and_constants_over_the_time_are_refused(function):
    assert_refused(sequence(function, D, D), "cannot be stepped", "time")


def test_a_list_over_the_time_of_token_values_is_refused():
    x = keras.Input((T,))
    model = keras.Model(x, ops.expand_dims(layers.Rescaling([1.0, 2, 3, 4, 5])(x), -1))
    assert_refused(model, "time")


@pytest.mark.parametrize("function", [
    lambda x: layers.EinsumDense("btd,de->bte", (None, 3), bias_axes="e")(x),
    lambda x: layers.Rescaling([1.0, 2.0, 3.0, 4.0])(x),
    lambda x: ops.clip(x, -normal(D) ** 2, 0.5),
    lambda x: layers.Add()([x, ops.mean(x, -1, keepdims=True)]),
])  # fmt: skip
def test_weights_and_constants_over_the_features_step(function):
    assert_steps(shaken(sequence(function, D, D)), normal(2, D, D))
    assert_steps(shaken(sequence(function, D, D)), normal(D, D, D))  # B = D, too


def test_a_subclass_with_a_call_of_its_own_has_no_graph_to_walk():
    class Doubled(keras.Model):
        def call(self, inputs, training=None, mask=None):
            return 2 * super().call(inputs, training=training, mask=mask)

    x = keras.Input((None, D))
    with pytest.raises(TypeError, match="functional"):
        Stepper(Doubled(x, layers.Dense(2)(x)))
