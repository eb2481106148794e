"""Markov, autoregressive and latent autoregressive models: how far each looks back, and steps."""

import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from keras_seq import models
from keras_seq.generation import Generator
from keras_seq.stepping import Stepper

V = 7
TOKENS = np.random.default_rng(0).integers(0, V, size=(2, 9)).astype("int32")
CELLS = ("simple_rnn", "gru", "lstm", "transformer")
SMALL_TRANSFORMER = {"num_heads": 2, "intermediate_dim": 16, "sequence_length": 16}


def with_random_weights(model):
    """Tables that start at zero see nothing at all, so each weight gets a value."""
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(0, 0.5, w.shape) for w in model.get_weights()])
    return model


def markov():
    return with_random_weights(models.markov(V))


def autoregressive(order, **arguments):
    sizes = {"embedding_dim": 4, "hidden_dim": 8, **arguments}
    return with_random_weights(models.autoregressive(V, order, **sizes))


def language_model(cell, **arguments):
    options = SMALL_TRANSFORMER if cell == "transformer" else {}
    return models.language_model(V, cell, hidden_dim=8, **options, **arguments)


MODELS = {
    "naive": lambda: autoregressive(0),
    "markov": markov,
    "ar(1), linear": lambda: autoregressive(1, num_layers=0),
    "ar(3)": lambda: autoregressive(3, num_layers=2, dropout=0.1),
    **{cell: lambda cell=cell: language_model(cell) for cell in CELLS},
    "tied": lambda: language_model("lstm", tie_embeddings=True, num_layers=2, dropout=0.1),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_language_model_is_a_plain_model_that_steps_and_saves(name, tmp_path):
    model = MODELS[name]()
    assert type(model).__name__ == "Functional"
    logits = numpy(model(TOKENS))
    assert logits.shape == (2, 9, V)
    assert Stepper(model).check() < 1e-5
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(TOKENS)), logits, atol=1e-6)


def influences(model, length=9):
    """(T, T) booleans: whether another token at step s changes the logits of step t."""
    tokens = TOKENS[:1, :length]
    changed = np.tile(tokens, (length, 1))  # row s: another token at step s
    np.fill_diagonal(changed, (np.diag(changed) + 1) % V)
    logits = numpy(model(np.concatenate([tokens, changed])))
    return np.abs(logits[1:] - logits[:1]).max(-1) > 1e-6


@pytest.mark.parametrize("order", [0, 1, 2, 4])
def test_an_autoregressive_model_sees_the_last_tokens_of_its_order_and_no_others(order):
    s, t = np.indices((9, 9))
    np.testing.assert_array_equal(influences(autoregressive(order)), (t - order < s) & (s <= t))


def test_a_markov_model_sees_the_present_token_alone():
    np.testing.assert_array_equal(influences(markov()), np.eye(9, dtype=bool))


@pytest.mark.parametrize("cell", CELLS)
def test_a_latent_model_sees_all_of_the_past(cell):
    s, t = np.indices((9, 9))
    model = with_random_weights(language_model(cell))
    np.testing.assert_array_equal(influences(model), s <= t)


def test_the_markov_model_is_its_table():
    model, table = models.markov(V), np.random.default_rng(2).normal(size=(V, V))
    assert not numpy(model(TOKENS)).any()  # at the start, all tokens are equally likely
    model.set_weights([table])
    np.testing.assert_allclose(numpy(model(TOKENS)), table[TOKENS], rtol=1e-6)


def test_the_autoregressive_model_is_its_equation():
    model = autoregressive(2)
    embedding, w_1, b_1, w, b = model.get_weights()
    x = np.pad(embedding[TOKENS], ((0, 0), (1, 0), (0, 0)))  # zero before the start
    y = np.concatenate([x[:, :-1], x[:, 1:]], axis=-1)  # (B, T, 2 D), the oldest first
    expected = np.tanh(y @ w_1 + b_1) @ w + b
    np.testing.assert_allclose(numpy(model(TOKENS)), expected, atol=1e-5)


def test_independent_tokens_have_the_same_logits_at_each_step():
    model = autoregressive(0)
    (bias,) = model.get_weights()
    np.testing.assert_allclose(numpy(model(TOKENS)), np.tile(bias, (2, 9, 1)), rtol=1e-6)


@pytest.mark.parametrize("cell", CELLS[:3])
def test_a_recurrent_model_is_what_a_user_writes_with_keras(cell):
    layer = {"simple_rnn": "SimpleRNN", "gru": "GRU", "lstm": "LSTM"}[cell]
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(V, 4)(tokens)
    for _ in range(2):
        x = getattr(keras.layers, layer)(8, return_sequences=True)(x)
    by_hand = keras.Model(tokens, keras.layers.Dense(V)(x))
    model = language_model(cell, num_layers=2, embedding_dim=4)
    by_hand.set_weights(model.get_weights())
    np.testing.assert_allclose(numpy(by_hand(TOKENS)), numpy(model(TOKENS)), atol=1e-5)


def test_a_tied_embedding_is_the_output_matrix():
    model = language_model("gru", tie_embeddings=True)
    embedding = model.get_layer("embedding").get_weights()[0]
    h = numpy(keras.Model(model.input, model.get_layer("gru_0").output)(TOKENS))
    np.testing.assert_allclose(numpy(model(TOKENS)), h @ embedding.T, atol=1e-5)


def test_the_transformer_is_the_decoder_only_transformer_without_a_mask():
    model = language_model("transformer", tie_embeddings=True, positions="rotary", dropout=0.0)
    other = models.decoder_only_transformer(
        V, num_layers=1, hidden_dim=8, positions="rotary", padding_id=None, **SMALL_TRANSFORMER
    )
    other.set_weights(model.get_weights())
    np.testing.assert_allclose(numpy(model(TOKENS)), numpy(other(TOKENS)), atol=1e-6)


def test_options_reach_the_recurrent_layers():
    layer = language_model("lstm", recurrent_dropout=0.25, num_layers=2).get_layer("lstm_1")
    assert layer.recurrent_dropout == 0.25


def test_a_markov_model_writes_the_likeliest_walk_through_its_table():
    model = models.markov(4)
    after = np.array([2, 3, 1, 0])  # 0 -> 2 -> 1 -> 3 -> 0
    model.set_weights([5.0 * np.eye(4)[after]])
    tokens = Generator(model, max_length=5).generate(prompt=[[0]]).tokens
    assert numpy(tokens).tolist() == [[0, 2, 1, 3, 0, 2]]


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: models.markov(0), "`vocabulary_size` of markov"),
        (lambda: models.autoregressive(V, -1), "`order` of autoregressive"),
        (lambda: models.autoregressive(V, 1.5), "`order` of autoregressive"),
        (lambda: models.autoregressive(V, 2, num_layers=-1), "`num_layers` of autoregressive"),
        (lambda: models.autoregressive(V, 2, embedding_dim=0), "`embedding_dim` of"),
        (lambda: models.autoregressive(V, 2, dropout=1.0), "`dropout` of autoregressive"),
        (lambda: models.language_model(V, "elman"), "`cell` of language_model"),
        (lambda: models.language_model(0), "`vocabulary_size` of language_model"),
        (lambda: models.language_model(V, hidden_dim=0), "`hidden_dim` of language_model"),
        (lambda: models.language_model(V, dropout=-0.1), "`dropout` of language_model"),
        (
            lambda: models.language_model(V, embedding_dim=4, hidden_dim=8, tie_embeddings=True),
            "`embedding_dim` of language_model must be `hidden_dim`",
        ),
        (
            lambda: models.language_model(V, "transformer", embedding_dim=4, hidden_dim=8),
            "`embedding_dim` of language_model must be `hidden_dim`",
        ),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()
