"""Documents that share a row give the logits and gradients that they give one by one."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import keras_seq as ks
from keras_seq.training import Packed
from tests.dtype_policy import dtype_policy

V, D, T = 11, 8, 12
LENGTHS = [[3, 1, 4, 4], [5, 1, 2], [12], [1, 1, 7]]  # a row that is full, one that is not, ...
if keras.backend.backend() == "jax":  # which compiles the loops of each document by themselves
    LENGTHS = [[5, 1, 6], [1, 5]]


def language_model(*layers, mask_zero=False, inner=False):
    """Layers, or functions of features, between an embedding and logits."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(V, D, mask_zero=mask_zero)(tokens)
    if inner:
        features = keras.Input((None, D))
        x = keras.Model(features, run(layers, features))(x)
    else:
        x = run(layers, x)
    return randomized(keras.Model(tokens, keras.layers.Dense(V, name="logits")(x)))


def run(layers, x):
    for layer in layers:
        x = layer(x)
    return x


def transformer(positions="rotary", padding_id=None, **arguments):
    return randomized(
        ks.models.decoder_only_transformer(
            V,
            T,
            num_layers=1,
            num_heads=2,
            hidden_dim=D,
            intermediate_dim=D,
            dropout=0.0,
            positions=positions,
            padding_id=padding_id,
            **arguments,
        )
    )


def randomized(model):
    rng = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(weight + 0.3 * rng.normal(size=weight.shape))
    return model


def recurrent(layer, **arguments):
    return layer(4, return_sequences=True, **arguments)


def hybrid(**arguments):
    return language_model(
        recurrent(ks.layers.LSTM),
        ks.layers.CausalWindow(2),
        ks.layers.TransformerDecoderBlock(D, 2, positions="rotary"),
        **arguments,
    )


def two_sided(layer, **arguments):
    return keras.layers.Bidirectional(recurrent(layer), **arguments)


MODELS = {
    "LSTM": lambda: language_model(recurrent(ks.layers.LSTM), recurrent(ks.layers.LSTM)),
    "GRU": lambda: language_model(recurrent(ks.layers.GRU)),
    "any cell of Keras": lambda: language_model(
        ks.layers.RNN(keras.layers.GRUCell(4), return_sequences=True)
    ),
    "two-sided LSTM": lambda: language_model(two_sided(ks.layers.LSTM)),
    "two-sided GRU": lambda: language_model(two_sided(ks.layers.GRU, merge_mode="ave")),
    "window": lambda: language_model(ks.layers.CausalWindow(3)),
    "encoder": lambda: language_model(
        ks.layers.LearnedPositions(T), ks.layers.TransformerEncoderBlock(D, 2, positions="alibi")
    ),
    "inner model": lambda: hybrid(inner=True),
    "sinusoidal": lambda: transformer("sinusoidal"),
    "learned": lambda: transformer("learned"),
    "rotary": lambda: transformer("rotary"),
    "alibi": lambda: transformer("alibi"),
    "relative": lambda: transformer(ks.layers.RelativePositionBias(8, 16)),
    "sliding window": lambda: transformer("rotary", sliding_window=3),
    "grouped heads": lambda: transformer("learned", num_key_value_heads=1),
}


def packed(lengths, time=T, seed=0):
    """`(inputs, labels, weights, spans)` of documents of the given lengths in each row."""
    rng = np.random.default_rng(seed)
    shape = (len(lengths), time)
    tokens, labels = (rng.integers(1, V, size=shape).astype("int32") for _ in range(2))
    reset, weights, spans = np.zeros(shape, bool), np.zeros(shape, "float32"), []
    for row, of_row in enumerate(lengths):
        ends = np.cumsum(of_row)
        spans += [(row, end - n, end) for n, end in zip(of_row, ends, strict=True)]
        reset[row, [0, *(end for end in ends if end < time)]] = True  # padding's start, too
        weights[row, : ends[-1]] = 1
        tokens[row, ends[-1] :] = 0
    return {"tokens": tokens, "reset": reset}, labels, weights, spans


def each_alone(model, tokens, spans):
    """Outputs of the documents, one call for each."""

    def outputs(tokens):
        return [model(tokens[row : row + 1, start:end])[0] for row, start, end in spans]

    return compiled_by_jax(outputs)(ops.convert_to_tensor(tokens))


def compiled_by_jax(function):
    """On JAX, which eagerly compiles each operation for each length."""
    if keras.backend.backend() != "jax":
        return function
    import jax

    return jax.jit(function)


def called(model, inputs):
    """Outputs of a model or trainer, a NumPy array."""
    inputs = keras.tree.map_structure(ops.convert_to_tensor, inputs)
    return ops.convert_to_numpy(compiled_by_jax(lambda inputs: model(inputs))(inputs))


def summed_loss(logits, labels, weights):
    labels = ops.convert_to_tensor(labels)
    loss = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return ops.sum(loss * ops.convert_to_tensor(weights))


def gradients(model, loss):
    """Of all weights of a model."""
    variables = model.trainable_variables
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = loss()
        found = tape.gradient(value, [v.value for v in variables], unconnected_gradients="zero")
        return [ops.convert_to_numpy(tf.convert_to_tensor(g)) for g in found]
    if keras.backend.backend() == "jax":
        import jax

        def stateless(values):
            with keras.StatelessScope(list(zip(variables, values, strict=True))):
                return loss()

        return [np.asarray(g) for g in jax.jit(jax.grad(stateless))([v.value for v in variables])]
    model.zero_grad()
    loss().backward()
    return [
        np.zeros(v.shape) if v.value.grad is None else v.value.grad.cpu().numpy() for v in variables
    ]


def assert_close(got, expected):
    scale = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(got, expected, atol=1e-5 * scale, rtol=0)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.thorough] * (name in ("any cell of Keras", "window")))
        for name in MODELS
    ],
)
def test_logits_and_gradients_are_those_of_the_documents_one_by_one(name):
    model = MODELS[name]()
    trainer = Packed(model)
    inputs, labels, weights, spans = packed(LENGTHS)
    logits = called(trainer, inputs)
    for (row, start, end), alone in zip(
        spans, each_alone(model, inputs["tokens"], spans), strict=True
    ):
        np.testing.assert_allclose(logits[row, start:end], ops.convert_to_numpy(alone), atol=1e-5)

    def one_by_one():
        alone = each_alone(model, inputs["tokens"], spans)
        return sum(
            summed_loss(y, labels[row, start:end], weights[row, start:end])
            for y, (row, start, end) in zip(alone, spans, strict=True)
        )

    together = gradients(model, lambda: summed_loss(trainer(inputs), labels, weights))
    for got, expected in zip(together, gradients(model, one_by_one), strict=True):
        assert_close(got, expected)


@pytest.mark.needs_tensorflow(reason="eager JAX compiles each operation anew for each shape")
@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=4), min_size=1, max_size=3),
    padding=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_documents_of_any_lengths_are_as_if_alone(lengths, padding, seed):
    keras.utils.set_random_seed(0)
    model = hybrid()
    inputs, _, _, spans = packed(lengths, max(map(sum, lengths)) + padding, seed)
    logits = called(Packed(model), inputs)
    for (row, start, end), alone in zip(
        spans, each_alone(model, inputs["tokens"], spans), strict=True
    ):
        np.testing.assert_allclose(logits[row, start:end], ops.convert_to_numpy(alone), atol=1e-5)


@pytest.mark.parametrize("name", ["two-sided GRU", "inner model", "sliding window"])
def test_without_a_reset_it_is_the_model_itself(name):
    model = MODELS[name]()
    tokens = packed(LENGTHS)[0]["tokens"]
    nowhere = np.zeros(tokens.shape, bool)
    expected = called(model, tokens)
    for inputs in (tokens, {"ids": tokens}, (tokens, nowhere), {"x": tokens, "reset": nowhere}):
        np.testing.assert_allclose(called(Packed(model), inputs), expected, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_one_update_in_fit_is_that_of_the_documents(jit_compile):
    model = hybrid()
    inputs, labels, weights, spans = packed(LENGTHS)
    start = model.get_weights()

    def one_by_one():
        alone = each_alone(model, inputs["tokens"], spans)
        return sum(
            summed_loss(y, labels[row, start:end], weights[row, start:end])
            for y, (row, start, end) in zip(alone, spans, strict=True)
        )

    expected = gradients(model, one_by_one)
    trainer = Packed(model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    trainer.compile(keras.optimizers.SGD(0.1), loss, jit_compile=jit_compile)
    trainer.fit(inputs, labels, sample_weight=weights, batch_size=len(labels), verbose=0)
    for before, after, gradient in zip(start, model.get_weights(), expected, strict=True):
        assert_close((before - after) / 0.1, gradient)


@pytest.mark.needs_tensorflow(reason="the batches are a tf.data.Dataset")
def test_packed_batches_of_a_text_have_the_loss_of_its_documents():
    import tensorflow as tf

    names = ["emma", "olivia", "ava", "mia", "charlotte", "al", "bo"]
    texts = tf.data.Dataset.from_tensor_slices({"text": names * 4})
    arguments = {"tokenizer": "character", "batch_size": 4, "seed": 1}
    packed_data, alone = (
        ks.data.language_model(
            {s: texts for s in ("train", "validation", "test")}, **o, **arguments
        )
        for o in ({"layout": "packed", "sequence_length": 24}, {"layout": "documents"})
    )
    size = packed_data.tokenizer.vocabulary_size()
    tokens = keras.Input((None,), dtype="int32")
    x = ks.layers.PositionalEmbedding(size, D, 24, mask_zero=False)(tokens)
    x = ks.layers.TransformerDecoderBlock(D, 2)(x)
    model = keras.Model(tokens, keras.layers.Dense(size)(x))
    trainer = Packed(model)
    for one in (trainer, model):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
        one.compile(keras.optimizers.Adam(0.01), loss)
    trainer.fit(packed_data.train, verbose=0)
    together, one_by_one = 0.0, 0.0
    for batch in packed_data.test:
        trainer.reset_metrics()
        together += trainer.test_on_batch(*batch)
    for batch in alone.test:
        model.reset_metrics()
        one_by_one += model.test_on_batch(*batch)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-5)


def test_evaluate_and_predict_keep_documents_apart():
    model = hybrid()
    inputs, labels, weights, spans = packed(LENGTHS)
    trainer = Packed(model)
    trainer.compile(loss=keras.losses.SparseCategoricalCrossentropy(True, reduction="sum"))
    alone = each_alone(model, inputs["tokens"], spans)
    expected = sum(
        float(summed_loss(y, labels[row, start:end], weights[row, start:end]))
        for y, (row, start, end) in zip(alone, spans, strict=True)
    )
    got = trainer.evaluate(inputs, labels, sample_weight=weights, batch_size=4, verbose=0)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    logits = trainer.predict(inputs, batch_size=4, verbose=0)
    for (row, start, end), y in zip(spans, alone, strict=True):
        np.testing.assert_allclose(logits[row, start:end], ops.convert_to_numpy(y), atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [lambda: hybrid(mask_zero=True), lambda: transformer("sinusoidal", padding_id=0)],
    ids=["hybrid", "transformer"],
)
def test_masks_go_with_resets(make):
    model = make()
    inputs, labels, _, spans = packed(LENGTHS)
    (row, within, _), (other, begin, _) = spans[0], spans[2]
    inputs["tokens"][row, within + 1] = inputs["tokens"][other, begin] = 0
    trainer = Packed(model)
    logits = called(trainer, inputs)
    for (row, start, end), alone in zip(
        spans, each_alone(model, inputs["tokens"], spans), strict=True
    ):
        shown = inputs["tokens"][row, start:end] != 0
        expected = ops.convert_to_numpy(alone)[shown]
        np.testing.assert_allclose(logits[row, start:end][shown], expected, atol=1e-5)
    # Masked steps do not count in the loss, as in that of the model itself.
    trainer.compile(loss=keras.losses.SparseCategoricalCrossentropy(True, reduction="sum"))
    shown = (inputs["tokens"] != 0).astype("float32")
    expected = float(summed_loss(ops.convert_to_tensor(logits), labels, shown))
    np.testing.assert_allclose(trainer.test_on_batch(inputs, labels), expected, rtol=1e-5)


def test_not_finite_numbers_stay_in_their_document():
    model = keras.Sequential(
        [
            keras.Input((None, D)),
            recurrent(ks.layers.GRU),
            ks.layers.CausalWindow(2),
            ks.layers.TransformerEncoderBlock(D, 2),
        ]
    )
    x = np.random.default_rng(0).normal(size=(1, 9, D)).astype("float32")
    reset = np.array([[1, 0, 0, 1, 0, 0, 1, 0, 0]], bool)
    x[0, 4] = np.nan
    y = called(Packed(model), (x, reset))
    finite = np.isfinite(y).all(axis=-1)[0]
    assert finite.tolist() == [True] * 3 + [False] * 3 + [True] * 3


def test_a_row_may_have_more_steps_than_the_model_has_positions():
    model = transformer("learned")  # of twelve positions
    lengths = [[9, 9, 12, 2]]
    inputs, _, _, spans = packed(lengths, sum(lengths[0]))
    logits = called(Packed(model), inputs)
    for (row, start, end), alone in zip(
        spans, each_alone(model, inputs["tokens"], spans), strict=True
    ):
        np.testing.assert_allclose(logits[row, start:end], ops.convert_to_numpy(alone), atol=1e-5)


def test_a_saved_trainer_goes_on_and_the_model_generates(tmp_path):
    model = language_model(recurrent(ks.layers.GRU), ks.layers.CausalWindow(2))
    trainer = Packed(model)
    inputs, labels, weights, _ = packed(LENGTHS)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile("adam", loss)
    trainer.train_on_batch(inputs, labels, sample_weight=weights)
    trainer.save(tmp_path / "trainer.keras")
    again = keras.models.load_model(tmp_path / "trainer.keras")
    expected, got = (called(t, inputs) for t in (trainer, again))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    again.train_on_batch(inputs, labels, sample_weight=weights)
    assert [w.path for w in trainer.trainable_variables] == [
        w.path for w in model.trainable_variables
    ]
    prompt = inputs["tokens"][:1, :3]
    generator = ks.generation.Generator(model, max_length=1, jit_compile=False)
    token = generator.generate(prompt=prompt).tokens[0, 3]
    assert int(token) == int(ops.argmax(model(prompt)[0, -1]))


def test_mixed_precision_is_that_of_the_model():
    with dtype_policy("mixed_bfloat16"):
        model = hybrid()
    inputs, _, _, _ = packed([[T], [T]])
    inputs["reset"][:] = False
    trainer = Packed(model)
    assert trainer.dtype_policy.name == "mixed_bfloat16"
    expected, got = model(inputs["tokens"]), trainer(inputs)
    assert keras.backend.standardize_dtype(got.dtype) == "bfloat16"
    expected, got = (ops.convert_to_numpy(ops.cast(y, "float32")) for y in (expected, got))
    np.testing.assert_allclose(got, expected, atol=0.02 * np.abs(expected).max())


def test_dropout_is_on_in_training_alone():
    model = language_model(recurrent(ks.layers.GRU), keras.layers.Dropout(0.5))
    trainer, inputs = Packed(model), packed(LENGTHS)[0]
    still = called(trainer, inputs)
    np.testing.assert_array_equal(ops.convert_to_numpy(trainer(inputs, training=False)), still)
    assert np.abs(ops.convert_to_numpy(trainer(inputs, training=True)) - still).max() > 1e-3


def test_states_that_nobody_reads_do_no_harm():
    model = language_model(lambda x: recurrent(ks.layers.LSTM, return_state=True)(x)[0])
    inputs, _, _, spans = packed(LENGTHS)
    logits = called(Packed(model), inputs)
    (row, start, end), alone = spans[2], each_alone(model, inputs["tokens"], spans)[2]
    np.testing.assert_allclose(logits[row, start:end], ops.convert_to_numpy(alone), atol=1e-5)


@pytest.mark.parametrize(
    "layer, message",
    [
        (lambda: keras.layers.LSTM(4, return_sequences=True), r"LSTM.*Use keras_seq.layers.LSTM"),
        (lambda: keras.layers.Conv1D(4, 3, padding="causal"), r"Conv1D.*layers.CausalWindow"),
        (
            lambda: lambda x: keras.layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True),
            r"MultiHeadAttention.*layers.MultiHeadSelfAttention",
        ),
        (
            lambda: keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True)),
            r"Bidirectional.*a keras GRU, whose state cannot be reset.*keras_seq.layers",
        ),
        (lambda: lambda x: ops.cumsum(x, axis=1), "Cumsum.*works along axis 1"),
        (lambda: recurrent(ks.layers.GRU, go_backwards=True), "it runs backwards.*Bidirectional"),
        (lambda: lambda x: ks.layers.DotAttention()(x, x), "its `context` depends on the model's"),
        (
            lambda: lambda x: ks.layers.TransformerDecoderBlock(8, 2)(x, x),
            "TransformerDecoderBlock.*its `context` depends on the model's input",
        ),
        (
            lambda: (
                lambda x: recurrent(ks.layers.GRU)(
                    x, initial_state=ks.layers.LearnedInitialState(4)(x)
                )
            ),
            "GRU.*it is given an `initial_state`",
        ),
        (
            lambda: (
                lambda x: ks.layers.MultiHeadSelfAttention(2, 4)(
                    x, attention_bias=np.zeros((1, 1, T, T), "float32")
                )
            ),
            "its `attention_bias` is a tensor for whole rows",
        ),
        (lambda: StepsWithoutReset(), r"StepsWithoutReset.*has no argument `reset`.*leak"),
        (
            lambda: (
                lambda x: (
                    x
                    + keras.layers.Dense(D)(
                        ops.expand_dims(recurrent(ks.layers.GRU, return_state=True)(x)[1], 1)
                    )
                )
            ),
            "it reads the state of a layer after the last step",
        ),
    ],
)
@pytest.mark.parametrize("inner", [False, True])
def test_layers_that_documents_cannot_share_are_refused(layer, message, inner):
    with pytest.raises(ValueError, match=message):
        Packed(language_model(layer(), inner=inner))


class StepsWithoutReset(ks.layers.SequenceLayer):
    """A running sum."""

    def get_initial_state(self, batch_size, max_length=None):
        return {"sum": ops.zeros((batch_size, D))}

    def call(self, x, initial_state=None, return_state=False):
        y = ops.cumsum(x, axis=1)
        if initial_state is not None:
            y = y + ops.expand_dims(initial_state["sum"], 1)
        return (y, {"sum": y[:, -1]}) if return_state else y

    def compute_output_shape(self, x_shape):
        return x_shape


def test_models_that_are_no_graph_of_one_input_are_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(TypeError, match=r"`model` of Packed must be a functional.*Subclassed"):
        Packed(Subclassed())
    target, other = keras.Input((None, 3), name="target"), keras.Input((None, 3), name="other")
    with pytest.raises(ValueError, match=r"Packed must have one input.*\['target', 'other'\]"):
        Packed(keras.Model([target, other], target + other))
    last = recurrent(ks.layers.GRU, return_state=True)(target)
    with pytest.raises(ValueError, match="one of its outputs is the state of a layer"):
        Packed(keras.Model(target, last))
    with pytest.raises(ValueError, match="gives the last output of a row"):
        Packed(keras.Model(target, ks.layers.GRU(3)(target)))


@pytest.mark.parametrize(
    "reset, error, message",
    [
        (np.zeros((2, T - 1), bool), ValueError, r"`reset` of Packed.*\(B, T\) = \(2, 12\)"),
        (np.zeros((2, T), "int32"), TypeError, "`reset` of Packed.*must be boolean"),
    ],
)
def test_wrong_resets_are_refused(reset, error, message):
    trainer = Packed(language_model(recurrent(ks.layers.GRU)))
    with pytest.raises(error, match=message):
        trainer((packed([[T], [T]])[0]["tokens"], reset))
    with pytest.raises(ValueError, match=r"Inputs of Packed.*Received: a dict of \['a', 'b'\]"):
        trainer({"a": np.zeros((4, T)), "b": np.zeros((4, T))})
