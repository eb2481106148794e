import keras
import numpy as np
import pytest
from keras import layers

import keras_seq as ks
from keras_seq.inspection import attention_scores

SOURCE = np.array([[4, 5, 6, 7, 0, 0], [8, 9, 4, 5, 6, 7]])  # the first row is padded
TARGET = np.array([[3, 4, 5], [6, 7, 8]])
INPUTS = {"source": SOURCE, "target": TARGET}


def transformer(**kwargs):
    return ks.models.transformer(
        20, 20, num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=8, **kwargs
    )


def check_weights(scores, valid):
    """Rows sum to one, and nothing is given to padding."""
    np.testing.assert_allclose(scores.sum(-1), 1.0, atol=1e-5)
    assert (scores >= 0).all()
    hidden = np.broadcast_to(~valid[:, None, None, :], scores.shape)
    assert (scores[hidden] == 0).all()


def test_every_attention_layer_of_a_transformer_answers_in_order():
    scores = attention_scores(transformer(), INPUTS)
    assert {name: array.shape for name, array in scores.items()} == {
        "encoder_0": (2, 2, 6, 6),
        "encoder_1": (2, 2, 6, 6),
        "decoder_0": (2, 2, 3, 6),  # cross-attention
        "decoder_1": (2, 2, 3, 6),
    }
    for array in scores.values():
        assert array.dtype == np.float32
        check_weights(array, SOURCE != 0)


@pytest.mark.parametrize("rnn", ["gru", "lstm"])
def test_additive_attention_has_one_head_and_ignores_padding(rnn):
    model = ks.models.seq2seq_rnn(20, 20, embedding_dim=4, units=8, rnn=rnn)
    scores = attention_scores(model, INPUTS)
    assert list(scores) == ["attention"]
    assert scores["attention"].shape == (2, 1, 3, 6)
    check_weights(scores["attention"], SOURCE != 0)


def test_scores_are_those_of_a_direct_call():
    embed = layers.Embedding(20, 8, mask_zero=True)
    ours = ks.layers.MultiHeadSelfAttention(2, 4, causal=True, name="ours")
    norm = layers.LayerNormalization()
    theirs = layers.MultiHeadAttention(2, 4, name="theirs")
    ids = keras.Input((None,), dtype="int32")
    x = embed(ids)
    model = keras.Model(ids, theirs(norm(x + ours(x)), x))

    x = embed(SOURCE)  # carries its mask, as the symbolic one does
    y, first = ours(x, return_attention_scores=True)
    _, second = theirs(norm(x + y), x, return_attention_scores=True)
    scores = attention_scores(model, SOURCE)
    np.testing.assert_allclose(scores["ours"], keras.ops.convert_to_numpy(first), atol=1e-6)
    np.testing.assert_allclose(scores["theirs"], keras.ops.convert_to_numpy(second), atol=1e-6)
    check_weights(scores["theirs"], SOURCE != 0)


def test_a_layer_called_twice_answers_twice():
    x = keras.Input((None, 8))
    attend = ks.layers.MultiHeadSelfAttention(2, 4, name="attend")
    model = keras.Model(x, attend(attend(x)))
    x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    scores = attention_scores(model, x)
    y, first = attend(x, return_attention_scores=True)
    _, second = attend(y, return_attention_scores=True)
    assert list(scores) == ["attend", "attend_call_2"]
    np.testing.assert_allclose(scores["attend"], first, atol=1e-6)
    np.testing.assert_allclose(scores["attend_call_2"], second, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Layer 'inner'")  # Keras says that masks end there
@pytest.mark.parametrize("asked", [False, True])
def test_a_model_inside_the_model_is_walked_with_its_masks(asked):
    hidden = keras.Input((None, 8))
    block = ks.layers.TransformerEncoderBlock(8, 2, name="block")
    inner = keras.Model(hidden, block(hidden, return_attention_scores=asked), name="inner")
    ids = keras.Input((None,), dtype="int32", name="ids")
    model = keras.Model(ids, inner(layers.Embedding(20, 8, mask_zero=True)(ids)))
    scores = attention_scores(model, SOURCE)
    assert list(scores) == ["inner/block"]
    check_weights(scores["inner/block"], SOURCE != 0)
    if asked:
        expected = keras.ops.convert_to_numpy(model(SOURCE)[1])
        np.testing.assert_allclose(scores["inner/block"], expected, atol=1e-6)


def test_scores_that_the_model_asks_for_itself_are_handed_on():
    x = keras.Input((None, 8))
    y, weights = layers.MultiHeadAttention(2, 4, name="attend")(x, x, return_attention_scores=True)
    model = keras.Model(x, [y, layers.Identity()(weights)])
    x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(x)[1])
    np.testing.assert_allclose(attention_scores(model, x)["attend"], expected, atol=1e-6)


def test_keras_attention_without_heads_and_a_state_beside_the_scores():
    x = keras.Input((None, 8))
    y, _ = ks.layers.MultiHeadSelfAttention(2, 4, causal=True, name="ours")(x, return_state=True)
    model = keras.Model(x, layers.Attention(name="dot")([y, x]))
    scores = attention_scores(model, np.ones((2, 5, 8)))
    assert {name: array.shape for name, array in scores.items()} == {
        "ours": (2, 2, 5, 5),
        "dot": (2, 1, 5, 5),
    }


def test_dropout_is_off():
    model = transformer(dropout=0.5)
    first, second = attention_scores(model, INPUTS), attention_scores(model, INPUTS)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_inputs_may_come_as_the_models_call_takes_them():
    model = transformer()
    by_name = attention_scores(model, {**INPUTS, "locale": 1})
    for inputs in ([SOURCE, TARGET], {name: x.tolist() for name, x in INPUTS.items()}):
        for name, array in attention_scores(model, inputs).items():
            np.testing.assert_array_equal(array, by_name[name])

    x = keras.Input((None,), dtype="int32", name="ids")
    y = ks.layers.MultiHeadSelfAttention(1, 4, name="a")(layers.Embedding(20, 4)(x))
    model = keras.Sequential([x, *keras.Model(x, y).layers[1:]])
    for inputs in (SOURCE, [SOURCE], SOURCE.tolist(), {"ids": SOURCE}):
        assert attention_scores(model, inputs)["a"].shape == (2, 1, 6, 6)
    assert attention_scores(model, [[3, 4, 5]])["a"].shape == (1, 1, 3, 3)


def test_half_precision_scores_come_as_float32():
    model_input = keras.Input((None, 8))
    y = ks.layers.MultiHeadSelfAttention(2, 4, dtype="mixed_bfloat16", name="a")(model_input)
    scores = attention_scores(keras.Model(model_input, y), np.ones((1, 4, 8)))["a"]
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(-1), 1.0, atol=0.02)


def test_a_model_without_a_graph_is_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    for model in (Subclassed(), keras.Sequential([layers.Dense(2)]), "model"):
        with pytest.raises(TypeError, match=r"`model` must be a functional.*Received"):
            attention_scores(model, SOURCE)


def test_a_model_without_attention_is_refused_with_its_layers():
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(2, name="only_dense")(x), name="plain")
    with pytest.raises(ValueError, match=r"must hold an attention layer.*`plain`.*only_dense"):
        attention_scores(model, np.ones((1, 4)))


def test_wrong_inputs_are_refused():
    model = transformer()
    with pytest.raises(ValueError, match=r"'source', 'target'.*lacks \['target'\]"):
        attention_scores(model, {"source": SOURCE})
    with pytest.raises(ValueError, match=r"must hold the 2 inputs.*Received: 1 of them"):
        attention_scores(model, SOURCE)
    with pytest.raises(ValueError, match=r"`source` must have shape.*batch axis"):
        attention_scores(model, {"source": SOURCE[0], "target": TARGET[0]})
