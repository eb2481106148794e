import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_seq
from keras_seq import models
from keras_seq.layers import (
    GRU,
    LSTM,
    AdditiveAttention,
    CausalWindow,
    MultiHeadSelfAttention,
    PositionalEmbedding,
    TransformerEncoderBlock,
)
from keras_seq.stepping import Stepper, register_pointwise
from tests.dtype_policy import dtype_policy
from tests.generation.generation_models import hybrid, shaken, sources, translator


def step_all(stepper, x, inputs=None, prefill=0):
    """Outputs of a stepped model, all time steps put together."""
    state = stepper.get_initial_state(len(x), x.shape[1], inputs)
    parts = []
    if prefill:
        y, state = stepper.prefill(x[:, :prefill], state)
        parts.append(y)
    for t in range(prefill, x.shape[1]):
        y, state = stepper.step(x[:, t : t + 1], state)
        parts.append(y)
    return np.concatenate([keras.ops.convert_to_numpy(y) for y in parts], axis=1)


@pytest.mark.parametrize("kind", ["gru", "lstm", "transformer", "post_norm"])
@pytest.mark.parametrize("prefill", [0, 1, 4, 6])
def test_a_translator_steps_to_the_numbers_of_its_call(kind, prefill):
    model = translator(kind)
    source = sources()
    target = np.random.default_rng(3).integers(1, 18, size=(5, 6)).astype("int32")
    whole = keras.ops.convert_to_numpy(model({"source": source, "target": target}))
    stepped = step_all(Stepper(model), target, source, prefill)
    np.testing.assert_allclose(stepped, whole, atol=2e-5)


@pytest.mark.parametrize("prefill", [0, 3])
def test_a_hybrid_written_by_hand_steps_with_no_extra_code(prefill):
    model = hybrid()
    x = np.random.default_rng(0).integers(1, 20, size=(3, 8)).astype("int32")
    x[1, 2] = 0  # a masked step in the middle leaves the states as they are, in both ways
    whole = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(step_all(Stepper(model), x, prefill=prefill), whole, atol=2e-5)


def test_a_layer_called_twice_has_two_states():
    x = keras.Input((None, 6))
    shared = GRU(6, return_sequences=True)
    model = shaken(keras.Model(x, shared(layers.Dense(6)(shared(x)))))
    stepper = Stepper(model)
    assert len(stepper.get_initial_state(batch_size=1)["layers"]) == 2
    data = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")
    np.testing.assert_allclose(step_all(stepper, data), model(data), atol=1e-5)


def test_models_inside_models_are_stepped_too():
    inner_x = keras.Input((None, 6))
    inner = keras.Model(inner_x, LSTM(6, return_sequences=True)(layers.Dense(6)(inner_x)))
    sequential = keras.Sequential(
        [keras.Input((None, 6)), layers.Dense(6), GRU(6, return_sequences=True)]
    )
    x = keras.Input((None, 6))
    model = shaken(keras.Model(x, sequential(inner(x)) + inner(x)))
    data = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")
    np.testing.assert_allclose(step_all(Stepper(model), data), model(data), atol=1e-5)


def test_pointwise_operations_and_context_vectors_are_followed():
    x = keras.Input((None, 6), name="target")
    context = keras.Input((6,), name="context")
    y = GRU(6, return_sequences=True)(x)
    y = keras.ops.tanh(y) * keras.ops.expand_dims(layers.Dense(6)(context), 1)
    y = keras.ops.concatenate([y, keras.ops.square(x)], axis=-1)
    y = layers.Dropout(0.5)(layers.Activation("gelu")(layers.Dense(4)(y)))
    model = shaken(keras.Model([x, context], y))
    rng = np.random.default_rng(0)
    data, vector = (
        rng.normal(size=(2, 5, 6)).astype("float32"),
        rng.normal(size=(2, 6)).astype("float32"),
    )
    stepped = step_all(Stepper(model), data, {"context": vector})
    np.testing.assert_allclose(stepped, model([data, vector]), atol=1e-5)


def test_several_outputs_keep_their_structure():
    x = keras.Input((None, 4))
    h = GRU(4, return_sequences=True)(x)
    model = keras.Model(x, {"a": h, "b": layers.Dense(2)(h)})
    stepper = Stepper(model)
    y, _ = stepper.step(np.ones((1, 1, 4), "float32"), stepper.get_initial_state(batch_size=1))
    assert set(y) == {"a", "b"} and y["b"].shape == (1, 1, 2)


def test_a_bidirectional_encoder_is_context_and_need_not_step():
    model = translator("gru")
    assert "encoder" not in Stepper(model).get_initial_state(inputs=sources())["layers"]


@pytest.mark.parametrize(
    "layer, reason",
    [
        (layers.Bidirectional(GRU(4, return_sequences=True), name="culprit"), "bidirectional"),
        (layers.Conv1D(4, 3, padding="causal", name="culprit"), "conv1d"),
        (layers.LSTM(4, return_sequences=True, name="culprit"), "lstm"),
        (layers.BatchNormalization(axis=1, name="culprit"), "axis"),
        (layers.LayerNormalization(axis=1, name="culprit"), "axis"),
        (layers.Softmax(axis=1, name="culprit"), "axis"),
        (layers.GlobalAveragePooling1D(name="culprit"), "globalaveragepooling1d"),
        (GRU(4, return_sequences=True, go_backwards=True, name="culprit"), "causal"),
        (GRU(4, name="culprit"), "return_sequences"),
        (MultiHeadSelfAttention(2, 2, name="culprit"), "causal"),
        (TransformerEncoderBlock(8, 2, name="culprit"), "causal"),
    ],
)
def test_a_layer_that_cannot_step_is_refused_by_name_with_a_hint(layer, reason):
    x = keras.Input((6, 4))
    model = keras.Model(x, layer(x))
    with pytest.raises(ValueError, match="culprit") as error:
        Stepper(model)
    assert reason in str(error.value).lower()


HINTS = [
    (layers.GRU(4, return_sequences=True), "keras_seq.layers.GRU.*set_weights"),
    (layers.LSTM(4, return_sequences=True), "keras_seq.layers.LSTM.*set_weights"),
    (layers.SimpleRNN(4, return_sequences=True), "keras_seq.layers.SimpleRNN.*set_weights"),
    (layers.Conv1D(4, 3, padding="causal"), "CausalWindow.*reshape"),
    (layers.Bidirectional(layers.GRU(4, return_sequences=True)), "one direction"),
    (layers.Lambda(lambda x: x), "register_pointwise"),
]


@pytest.mark.parametrize("layer, hint", HINTS, ids=lambda v: getattr(v, "name", ""))
def test_a_layer_of_keras_is_refused_with_what_to_use_instead(layer, hint):
    x = keras.Input((6, 4))
    with pytest.raises(ValueError, match=hint):
        Stepper(keras.Model(x, layer(x)))


def test_attention_of_keras_to_the_target_is_refused_with_what_to_use_instead():
    x = keras.Input((6, 4))
    y = layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
    with pytest.raises(ValueError, match="MultiHeadSelfAttention.*causal=True.*set_weights"):
        Stepper(keras.Model(x, y))


@pytest.mark.parametrize(
    "layer",
    [
        layers.MultiHeadAttention(2, 3),
        layers.GroupQueryAttention(3, 2, 1),
        layers.Attention(),
        layers.AdditiveAttention(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_attention_of_keras_to_the_context_steps_unless_it_counts_target_steps(layer):
    x, memory = keras.Input((None, 4), name="target"), keras.Input((5, 4), name="source")
    scored = isinstance(layer, (layers.Attention, layers.AdditiveAttention))
    inputs = ([x, memory],) if scored else (x, memory)
    Stepper(keras.Model([x, memory], layer(*inputs)))
    with pytest.raises(ValueError, match="`use_causal_mask` hides.*Leave `use_causal_mask` out"):
        Stepper(keras.Model([x, memory], layer(*inputs, use_causal_mask=True)))
    if not scored:
        mask = keras.ops.ones((1, 6, 5), dtype="bool")
        with pytest.raises(ValueError, match="`attention_mask` has a time axis.*`value_mask`"):
            Stepper(keras.Model([x, memory], layer(*inputs, attention_mask=mask)))


def test_what_the_hints_say_holds():
    x = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
    convolution = layers.Conv1D(5, 3, padding="causal", bias_initializer="normal")
    expected = convolution(x)
    kernel, bias = convolution.get_weights()
    window = keras.Sequential([CausalWindow(3), layers.Dense(5)])
    window(x)
    window.layers[-1].set_weights([kernel.reshape(-1, 5), bias])
    np.testing.assert_allclose(window(x), expected, atol=1e-5)
    attention = layers.MultiHeadAttention(2, 3)
    expected = attention(x, x, use_causal_mask=True)
    ours = MultiHeadSelfAttention(2, 3, causal=True)
    ours(x)
    ours.set_weights(attention.get_weights())
    np.testing.assert_allclose(ours(x), expected, atol=1e-5)


def test_operations_across_time_are_refused():
    x = keras.Input((None, 4))
    for y in (keras.ops.flip(x, axis=1), keras.ops.mean(x, axis=1, keepdims=True), x[:, ::-1]):
        with pytest.raises(ValueError, match="cannot be stepped"):
            Stepper(keras.Model(x, y))


def test_what_has_a_time_axis_of_its_own_is_refused():
    tokens = keras.Input((None,), dtype="int32", name="target")
    covariates = keras.Input((None, 3), name="covariates")
    x = layers.Embedding(9, 4)(tokens)
    aligned = layers.Add()([x, layers.Dense(4)(covariates)])
    with pytest.raises(ValueError, match="time axis of its own"):
        Stepper(keras.Model([tokens, covariates], aligned))
    fixed = keras.Input((5, 4))
    with pytest.raises(ValueError, match="time axis of its own"):
        Stepper(keras.Model(fixed, fixed * np.ones((5, 1), "float32")))
    Stepper(keras.Model(fixed, fixed * np.ones((4,), "float32")))  # of the features: nothing wrong


@pytest.mark.parametrize(
    "layer",
    [layers.Activation("softmax"), layers.Dense(5), layers.EinsumDense("...x,xy->...y", 5)],
)
def test_the_last_axis_of_a_matrix_is_the_time(layer):
    x = keras.Input((5,))
    with pytest.raises(ValueError, match="which is the time"):
        Stepper(keras.Model(x, layer(x)))


def test_an_activation_of_unknown_kind_is_refused():
    x = keras.Input((None, 4))
    for layer in (layers.Activation(lambda x: x), layers.Dense(2, activation=lambda x: x)):
        with pytest.raises(ValueError, match="activation"):
            Stepper(keras.Model(x, layer(x)))


def test_slices_of_the_features_and_einsum_step():
    x = keras.Input((None, 6))
    y = layers.EinsumDense("btd,dhk->bthk", (None, 2, 3))(x[:, :, 1:4])[..., 0]
    model = shaken(keras.Model(x, y + keras.ops.sum(x[..., 2:4], axis=-1, keepdims=True)))
    for rows in (3, 2):  # Keras 3.15 takes a (B, 1, 1) addend for a bias where B is the features
        data = np.random.default_rng(0).normal(size=(rows, 5, 6)).astype("float32")
        np.testing.assert_allclose(step_all(Stepper(model), data), model(data), atol=1e-5)


def test_inputs_are_found_by_the_keys_of_a_dict():
    inputs = {"source": keras.Input((4,)), "target": keras.Input((None, 4))}
    model = keras.Model(
        inputs, GRU(4, return_sequences=True)(inputs["target"], initial_state=inputs["source"])
    )
    assert Stepper(model).target == "target" and Stepper(model).check() < 1e-5


def test_attention_to_the_target_itself_is_refused():
    x = keras.Input((None, 4))
    with pytest.raises(ValueError, match="`context` depends on the whole target"):
        Stepper(keras.Model(x, AdditiveAttention(4, name="culprit")(x, x)))


def test_an_own_layer_steps_once_it_is_declared_pointwise():
    class Halve(layers.Layer):
        def call(self, x):
            return x / 2

    x = keras.Input((None, 4))
    model = keras.Model(x, Halve()(x))
    with pytest.raises(ValueError, match="register_pointwise"):
        Stepper(model)
    register_pointwise(Halve)
    assert Stepper(model).check() == 0
    with pytest.raises(TypeError, match="layer_class"):
        register_pointwise(3)


def test_a_model_without_a_graph_is_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(TypeError, match="functional"):
        Stepper(Subclassed())


def test_inputs_are_checked_by_name():
    model = translator("gru")
    with pytest.raises(ValueError, match="'nobody'"):
        Stepper(model, target="nobody")
    stepper = Stepper(model)
    for wrong in ({"other": sources()}, None, [sources(), sources()]):
        with pytest.raises(ValueError, match="source"):
            stepper.get_initial_state(inputs=wrong, batch_size=5, max_length=4)
    with pytest.raises(ValueError, match="batch_size"):
        Stepper(hybrid()).get_initial_state(max_length=4)
    a, b = keras.Input((None, 4), name="a"), keras.Input((None, 4), name="b")
    with pytest.raises(ValueError, match="target"):
        Stepper(keras.Model([a, b], a + b))


def test_a_model_without_an_output_that_depends_on_the_target_is_refused():
    x, c = keras.Input((None, 4), name="target"), keras.Input((4,), name="context")
    # Keras 3.12 itself refuses an input that nothing reads.
    with pytest.raises(ValueError, match="nothing to step|not connected to `outputs`"):
        Stepper(keras.Model([x, c], layers.Dense(2)(c)))


def test_an_output_that_does_not_depend_on_the_target_is_the_same_at_every_step():
    x, c = keras.Input((None, 4), name="target"), keras.Input((4,), name="context")
    model = keras.Model([x, c], [layers.Dense(2)(x), layers.Dense(3)(c)])
    stepper, vector = Stepper(model), np.ones((2, 4), "float32")
    state = stepper.get_initial_state(inputs=vector)
    for _ in range(2):
        (y, other), state = stepper.step(np.ones((2, 1, 4), "float32"), state)
        assert y.shape == (2, 1, 2)
        np.testing.assert_allclose(other, model([np.ones((2, 1, 4)), vector])[1], atol=1e-6)


def test_what_has_no_time_axis_is_no_input_of_a_step():
    x = keras.Input((None, 4))
    y, state = GRU(4, return_sequences=True, return_state=True)(x)
    Stepper(keras.Model(x, y))
    with pytest.raises(ValueError, match="after the last step"):
        Stepper(keras.Model(x, [y, state]))
    reader = layers.Dense(4, name="culprit")
    with pytest.raises(ValueError, match="culprit.*after the last step"):
        Stepper(keras.Model(x, y + keras.ops.expand_dims(reader(state), 1)))
    y, weights = MultiHeadSelfAttention(2, 2, causal=True)(x, return_attention_scores=True)
    with pytest.raises(ValueError, match="culprit.*attention weights"):
        Stepper(keras.Model(x, reader(weights)))
    c = keras.Input((4,), name="c")
    inner = keras.Model([x, c], [y, layers.Dense(4)(c)])
    x, c = keras.Input((None, 4), name="target"), keras.Input((4,), name="c")
    y, vector = inner([x, c])  # the vector is context, though the model that gives it is stepped
    assert Stepper(keras.Model([x, c], y + keras.ops.expand_dims(reader(vector), 1))).check() < 1e-5


def test_several_targets_come_together():
    a, b = keras.Input((None, 4), name="a"), keras.Input((None, 3), name="b")
    model = shaken(keras.Model([a, b], GRU(4, return_sequences=True)(a + layers.Dense(4)(b))))
    rng = np.random.default_rng(0)
    x = {n: rng.normal(size=(2, 3, d)).astype("float32") for n, d in (("a", 4), ("b", 3))}
    stepper = Stepper(model, target=["a", "b"])
    y, state = stepper.prefill(x, stepper.get_initial_state(batch_size=2))
    np.testing.assert_allclose(y, model([x["a"], x["b"]]), atol=1e-6)
    with pytest.raises(ValueError, match="target inputs"):
        stepper.step({"a": x["a"]}, state)
    for nothing in ({}, None):
        with pytest.raises(ValueError, match=r"`state` must be what `get_initial_state\(...\)`"):
            stepper.step(x, nothing)
    with pytest.raises(ValueError, match="time axis of its own.*target=\\[...\\]"):
        Stepper(model, target="a")


def test_too_many_steps_are_refused_eagerly():
    stepper = Stepper(hybrid())
    state = stepper.get_initial_state(batch_size=1, max_length=2)
    with pytest.raises(ValueError, match="max_length"):
        for _ in range(3):
            _, state = stepper.step(np.array([[4]]), state)
    tokens = keras.Input((None,), dtype="int32")
    model = keras.Model(tokens, PositionalEmbedding(9, 4, sequence_length=3)(tokens))
    with pytest.raises(ValueError, match="max_length"):
        Stepper(model).get_initial_state(batch_size=1, max_length=4)


def test_mixed_precision_models_step_with_states_of_fixed_dtype():
    with dtype_policy("mixed_bfloat16"):
        model = translator("transformer")
        stepper = keras_seq.stepping.Stepper(model)
        state = stepper.get_initial_state(inputs=sources(), max_length=4)
        _, after = stepper.step(np.full((5, 1), 4), state)
    dtypes = [
        keras.tree.map_structure(lambda t: (t.shape, str(t.dtype)), s) for s in (state, after)
    ]
    assert dtypes[0] == dtypes[1]


@pytest.mark.parametrize("jit_compile", ["auto", True, False])
def test_steps_from_python_compile_themselves_and_know_their_room(jit_compile):
    model = models.decoder_only_transformer(
        9, sequence_length=8, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=8
    )
    stepper = Stepper(model, jit_compile=jit_compile)
    for _ in range(2):  # the second time with other weights, by the functions of the first
        ids = np.random.default_rng(0).integers(1, 9, (2, 4))
        state = stepper.get_initial_state(2, max_length=4)
        y, state = stepper.prefill(ids[:, :2], state)
        steps = [y]
        for t in (2, 3):
            y, state = stepper.step(ids[:, t : t + 1], state)
            steps.append(y)
        expected = model(ids)
        np.testing.assert_allclose(ops.concatenate(steps, axis=1), expected, atol=1e-5)
        with pytest.raises(ValueError, match="room for 4 time steps, and 4 are taken"):
            stepper.step(ids[:, :1], state)
        model.set_weights([w + 0.1 for w in model.get_weights()])
    functions = stepper._compiled_step and stepper._compiled_step._functions
    assert functions is None if jit_compile is False else len(functions) == 1
    with pytest.raises(ValueError, match="`jit_compile` of Stepper.*'yes'"):
        Stepper(model, jit_compile="yes")
