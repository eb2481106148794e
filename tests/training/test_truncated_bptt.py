"""Truncated back-propagation through time against the whole text, and what never touches states."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.training import TruncatedBPTT, chunks

V, B, T, U = 13, 3, 4, 5


def language_model(*layers, inner=False):
    """Two recurrent layers, or `layers`, between an embedding and logits."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(V, 6)(tokens)
    layers = layers or (
        ks.layers.LSTM(U, return_sequences=True),
        ks.layers.GRU(U, return_sequences=True),
    )
    if inner:
        features = keras.Input((None, 6))
        y = features
        for layer in layers:
            y = layer(y)
        x = keras.Model(features, y)(x)
    else:
        for layer in layers:
            x = layer(x)
    return keras.Model(tokens, keras.layers.Dense(V)(x))


def numpy(tensors):
    return [ops.convert_to_numpy(t).copy() for t in keras.tree.flatten(tensors)]


def text(length, seed=0):
    return np.random.default_rng(seed).integers(0, V, size=(B, length)).astype("int32")


def compiled(trainer, **kwargs):
    trainer.compile(
        keras.optimizers.SGD(0.5),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **kwargs,
    )
    return trainer


def cut(tokens, reset=None):
    """`(inputs, targets)` of a text (B, N), chunk after chunk."""
    for start in range(0, tokens.shape[1] - T, T):
        x = {"tokens": tokens[:, start : start + T]}
        if reset is not None:
            x["reset"] = reset[:, start : start + T]
        yield x, tokens[:, start + 1 : start + T + 1]


@pytest.mark.parametrize("inner", [False, True])
def test_the_chunked_forward_pass_is_that_of_the_whole_text(inner):
    model = language_model(inner=inner)
    trainer = TruncatedBPTT(model, T)
    tokens = text(3 * T + 1)
    parts = [trainer(x, training=True) for x, _ in cut(tokens)]
    np.testing.assert_allclose(np.concatenate(numpy(parts), 1), model(tokens[:, :-1]), atol=1e-5)


@pytest.mark.parametrize("inner", [False, True])
def test_documents_that_share_a_row_give_what_each_gives_alone(inner):
    model = language_model(inner=inner)
    trainer = TruncatedBPTT(model, T)
    tokens = text(3 * T + 1)
    begins = [(0, 3, 5), (0, 4), (0, 11)]  # within a chunk, at its start, at its end
    reset = np.zeros(tokens.shape, bool)
    for row, starts in enumerate(begins):
        reset[row, list(starts)] = True
    parts = [trainer(x, training=True) for x, _ in cut(tokens, reset)]
    together = np.concatenate(numpy(parts), 1)
    for row, starts in enumerate(begins):
        for start, end in zip(starts, (*starts[1:], 3 * T), strict=True):
            alone = model(tokens[row : row + 1, start:end])
            np.testing.assert_allclose(together[row, start:end], alone[0], atol=1e-5)


def test_a_window_is_reset_and_carried_as_a_recurrent_state_is():
    model = language_model(ks.layers.CausalWindow(3), ks.layers.GRU(U, return_sequences=True))
    trainer = TruncatedBPTT(model, T)
    tokens = text(3 * T + 1)
    reset = np.zeros(tokens.shape, bool)
    reset[:, [0, 5]] = True
    parts = [trainer(x, training=True) for x, _ in cut(tokens, reset)]
    together = np.concatenate(numpy(parts), 1)
    for start, end in ((0, 5), (5, 3 * T)):
        np.testing.assert_allclose(together[:, start:end], model(tokens[:, start:end]), atol=1e-5)


def test_a_reset_reaches_back_to_nothing_before_it():
    trainer = TruncatedBPTT(language_model(), T)
    (first, _), (second, _) = cut(text(2 * T + 1))
    trainer(first, training=True)
    reset = np.zeros((B, T), bool)
    reset[1, 0] = True
    carried = trainer({**second, "reset": reset}, training=True)
    from_zeros = trainer(second, training=False)
    differs = np.abs(ops.convert_to_numpy(carried - from_zeros)).max(axis=(1, 2))
    assert differs[1] < 1e-6
    assert differs[0] > 1e-3 and differs[2] > 1e-3


@pytest.mark.parametrize("parts", [1, 2])
def test_one_update_is_that_of_back_propagation_through_the_chunk(parts):
    """With one chunk it is full BPTT; after another chunk, BPTT from its states as constants."""
    x, y = text(T), text(T, seed=1)
    model = language_model()
    trainer = compiled(TruncatedBPTT(model, T))
    states = [keras.Input((U,)) for _ in range(3)]
    tokens = keras.Input((None,), dtype="int32")
    embedding, lstm, gru, dense = [layer for layer in model.layers if layer.weights]
    h = lstm(embedding(tokens), initial_state=states[:2])
    peer = keras.Model([tokens, *states], dense(gru(h, initial_state=states[2:])))
    before = [np.zeros((B, U), "float32")] * 3
    if parts == 2:
        trainer({"tokens": text(T, seed=2)}, training=True)
        before = numpy(trainer.training_states)
    start = model.get_weights()
    trainer.train_on_batch(x, y)
    truncated = model.get_weights()
    model.set_weights(start)
    compiled(peer).train_on_batch([x, *before], y)
    for a, b, w in zip(truncated, model.get_weights(), start, strict=True):
        assert np.abs(a - w).max() > 0
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [True, False])
def test_fit_carries_states_from_chunk_to_chunk_and_evaluate_never_touches_them(jit_compile):
    model = language_model()
    trainer = compiled(TruncatedBPTT(model, T), jit_compile=jit_compile)
    tokens = text(3 * T + 1)
    x, y = zip(*cut(tokens), strict=True)
    x, y = np.concatenate([part["tokens"] for part in x]), np.concatenate(y)
    trainer.optimizer.learning_rate = 0.0  # so that states and losses are those of one model
    history = trainer.fit(
        x,
        y,
        batch_size=B,
        shuffle=False,
        verbose=0,
        validation_data=(x, y),
        validation_batch_size=B,
    ).history
    embedding, lstm, gru, _ = [layer for layer in model.layers if layer.weights]
    z, state = lstm(embedding(tokens[:, :-1]), return_state=True)
    expected = [*state, *gru(z, return_state=True)[1]]
    for got, wanted in zip(trainer.training_states, expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    whole = loss(tokens[:, 1:], model(tokens[:, :-1]))
    np.testing.assert_allclose(history["loss"], [float(whole)], rtol=1e-5)
    np.testing.assert_allclose(history["val_loss"], [float(loss(y, model(x)))], rtol=1e-5)
    trained = numpy(trainer.training_states)
    trainer.evaluate(x, y, batch_size=9, verbose=0)
    trainer.predict(x, batch_size=9, verbose=0)
    ks.generation.Generator(model, max_length=2, jit_compile=False).generate(prompt=[[1, 2]])
    for a, b in zip(trained, trainer.training_states, strict=True):
        np.testing.assert_array_equal(a, b)


def test_evaluation_carries_states_of_its_own_and_each_one_begins_with_zeros():
    model = language_model()
    model.set_weights([4 * w for w in model.get_weights()])  # so that states show in the loss
    trainer = compiled(TruncatedBPTT(model, T, batch_size=B, carry_evaluation=True))
    tokens = text(3 * T + 1)
    x, y = zip(*cut(tokens), strict=True)
    x, y = np.concatenate([part["tokens"] for part in x]), np.concatenate(y)
    trainer({"tokens": tokens[:, :T]}, training=True)
    trained = numpy(trainer.training_states)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    whole = float(loss(tokens[:, 1:], model(tokens[:, :-1])))
    for _ in range(2):
        np.testing.assert_allclose(
            trainer.evaluate(x, y, batch_size=B, verbose=0), whole, rtol=1e-5
        )
        predicted = trainer.predict(x, batch_size=B, verbose=0)  # predict carries nothing
        np.testing.assert_allclose(predicted, model(x), atol=1e-5)
    for a, b in zip(trained, trainer.training_states, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.needs_tensorflow(reason="the chunks are a tf.data.Dataset")
def test_fit_on_chunks_of_documents_learns_them():
    documents = [np.arange(start, start + n) % V for start, n in ((0, 30), (5, 45), (2, 70))]
    trainer = TruncatedBPTT(language_model(), T, carry_evaluation=True)
    trainer.compile(
        keras.optimizers.Adam(0.05),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    dataset = chunks(documents, B, T)
    trainer.fit(dataset, epochs=12, shuffle=False, verbose=0, validation_data=dataset)
    assert trainer.evaluate(dataset, verbose=0)[1] > 0.95


def test_masked_steps_leave_the_carried_states():
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(V, 6, mask_zero=True)(tokens)
    x = ks.layers.LSTM(U, return_sequences=True)(x)
    trainer = TruncatedBPTT(keras.Model(tokens, keras.layers.Dense(V)(x)), T)
    trainer(np.full((B, T), 3), training=True)
    states = numpy(trainer.training_states)
    trainer(np.zeros((B, T), "int32"), training=True)
    for a, b in zip(states, trainer.training_states, strict=True):
        np.testing.assert_array_equal(a, b)


def test_masked_steps_do_not_count_in_the_loss():
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(V, 6, mask_zero=True)(tokens)
    x = ks.layers.LSTM(U, return_sequences=True)(x)
    model = keras.Model(tokens, keras.layers.Dense(V)(x))
    padded, targets = text(T), text(T, seed=1)
    padded[0, 1:] = 0
    plain = compiled(model).test_on_batch(padded, targets)
    carried = compiled(TruncatedBPTT(model, T)).train_on_batch(padded, targets)
    np.testing.assert_allclose(carried, plain, rtol=1e-5)


def test_dropout_is_on_in_training_alone():
    x = text(T)
    for layers in (
        [keras.layers.Dropout(0.5)],
        [ks.layers.GRU(U, return_sequences=True, dropout=0.5)],
    ):
        model = language_model(ks.layers.GRU(6, return_sequences=True), *layers)
        trainer = TruncatedBPTT(model, T)
        np.testing.assert_allclose(trainer(x, training=False), model(x), atol=1e-6)
        assert np.abs(ops.convert_to_numpy(trainer(x, training=True) - model(x))).max() > 1e-3


def test_states_can_be_reset_by_hand():
    trainer = TruncatedBPTT(language_model(), T)
    trainer(text(T), training=True)
    assert all(np.abs(state).max() > 0 for state in numpy(trainer.training_states))
    trainer.reset_states()
    assert all(np.abs(state).max() == 0 for state in numpy(trainer.training_states))


tensorflows = pytest.mark.needs_tensorflow(reason="the checkpoint is TensorFlow's own")


@pytest.mark.parametrize(
    "suffix", [".weights.h5", ".keras", pytest.param(".tf", marks=tensorflows)]
)
def test_a_checkpoint_holds_the_states(suffix, tmp_path):
    trainer = TruncatedBPTT(language_model(), T, carry_evaluation=True)
    (first, _), (second, _) = cut(text(2 * T + 1))
    trainer(first, training=True)
    path = tmp_path / f"trainer{suffix}"
    if suffix == ".keras":
        trainer.save(path)
        again = keras.models.load_model(path)
    else:
        again = TruncatedBPTT(language_model(), T, batch_size=B, carry_evaluation=True)
        if suffix == ".tf":
            import tensorflow as tf

            tf.train.Checkpoint(again).restore(tf.train.Checkpoint(trainer).save(path))
        else:
            trainer.save_weights(path)
            again.load_weights(path)
    states = zip(trainer.training_states, again.training_states, strict=True)
    for a, b in states:
        np.testing.assert_array_equal(a, b)
    expected, got = (t(second, training=True) for t in (trainer, again))
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_checkpoint_fits_a_model_whose_layers_have_other_names(tmp_path):
    trainers = []
    for names in (("lstm_8", "lstm_9"), ("lstm_9", "lstm_10")):
        layers = [ks.layers.LSTM(U, return_sequences=True, name=name) for name in names]
        trainers.append(TruncatedBPTT(language_model(*layers), T, batch_size=B))
    trainer, again = trainers
    trainer(text(T), training=True)
    trainer.save_weights(tmp_path / "trainer.weights.h5")
    again.load_weights(tmp_path / "trainer.weights.h5")
    expected, got = (t(text(T, seed=1), training=True) for t in trainers)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_inputs_may_be_alone_or_a_pair_or_a_dict():
    model = language_model()
    x, reset = text(T), np.zeros((B, T), bool)
    for inputs in (x, (x, reset), {"ids": x}, {"ids": x, "reset": reset}):
        got = TruncatedBPTT(model, T)(inputs, training=True)
        np.testing.assert_allclose(got, model(x), atol=1e-5)


@pytest.mark.parametrize(
    "inputs, error, message",
    [
        ({"a": 0, "b": 0, "reset": 0}, ValueError, r"Received: a dict of \['a', 'b', 'reset'\]"),
        ({"tokens": text(T)[:2]}, ValueError, "carries the states of 3 rows"),
        ({"tokens": text(T + 1)}, ValueError, "at most steps=4 time steps"),
        (
            {"tokens": text(T), "reset": np.zeros((B, T + 1), bool)},
            ValueError,
            r"`reset` of TruncatedBPTT .* shape \(B, T\) = \(3, 4\)",
        ),
        (
            {"tokens": text(T), "reset": np.zeros((B, T), "int32")},
            TypeError,
            "`reset` of TruncatedBPTT .* must be boolean",
        ),
    ],
)
def test_wrong_inputs_are_refused(inputs, error, message):
    trainer = TruncatedBPTT(language_model(), T, batch_size=B)
    inputs = {name: text(T) if isinstance(x, int) else x for name, x in inputs.items()}
    with pytest.raises(error, match=message):
        trainer(inputs, training=True)


def test_a_batch_of_another_size_is_refused_by_an_evaluation_that_carries():
    trainer = compiled(TruncatedBPTT(language_model(), T, batch_size=B, carry_evaluation=True))
    with pytest.raises(ValueError, match="carries the states of 3 rows"):
        trainer.test_on_batch(text(T)[:2], text(T)[:2])


@pytest.mark.parametrize(
    "layers, message",
    [
        (lambda: [keras.layers.Dense(4)], "must have a recurrent layer"),
        (lambda: [ks.layers.GRU(4, return_sequences=True, go_backwards=True)], "not causal"),
        (
            lambda: [
                ks.layers.GRU(4, return_sequences=True),
                keras.layers.LSTM(4, return_sequences=True),
            ],
            "cannot be stepped",
        ),
        (
            lambda: [
                ks.layers.GRU(4, return_sequences=True),
                ks.layers.MultiHeadSelfAttention(2, 4, causal=True, name="look_back"),
            ],
            "`look_back` .* its state cannot be reset",
        ),
        (
            lambda: [
                ks.layers.LearnedPositions(9, name="count"),
                ks.layers.GRU(4, return_sequences=True),
            ],
            "`count` .* its state cannot be reset",
        ),
    ],
)
@pytest.mark.parametrize("inner", [False, True])
def test_models_without_states_to_carry_or_reset_are_refused(layers, message, inner):
    with pytest.raises(ValueError, match=message):
        TruncatedBPTT(language_model(*layers(), inner=inner), T)


def test_a_layer_that_carries_its_own_state_is_refused():
    tokens = keras.Input((None,), batch_size=B, dtype="int32")
    x = keras.layers.Embedding(V, 6)(tokens)
    x = ks.layers.LSTM(U, return_sequences=True, stateful=True, name="keeper")(x)
    with pytest.raises(ValueError, match="`keeper` .* `stateful=True`"):
        TruncatedBPTT(keras.Model(tokens, x), T)


def test_a_model_with_several_inputs_is_refused():
    target = keras.Input((None, 3), name="target")
    other = keras.Input((None, 3), name="other")
    x = ks.layers.GRU(U, return_sequences=True)(target)
    x = ks.layers.AdditiveAttention(4)(x, other)
    with pytest.raises(ValueError, match=r"must have one input. .* \['target', 'other'\]"):
        TruncatedBPTT(keras.Model([target, other], x), T)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"steps": 2.5}, {"steps": 4, "batch_size": -1}])
def test_sizes_below_one_are_refused(wrong):
    with pytest.raises(ValueError, match="of TruncatedBPTT must be an int of at least 1"):
        TruncatedBPTT(language_model(), **wrong)


def test_an_unknown_batch_size_is_refused():
    with pytest.raises(ValueError, match="Pass `batch_size=`"):
        TruncatedBPTT(language_model(), T).build((None, T))
