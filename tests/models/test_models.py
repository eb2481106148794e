import keras
import numpy as np
import pytest
from keras import layers

from keras_seq import models
from keras_seq.layers import (
    GRU,
    AdditiveAttention,
    PositionalEmbedding,
    TransformerDecoderBlock,
    TransformerEncoderBlock,
)

numpy = keras.ops.convert_to_numpy
RNG = np.random.default_rng(0)
INPUTS = {
    "source": np.array([[4, 5, 6, 7, 3], [9, 8, 3, 0, 0]], "int32"),
    "target": np.array([[2, 4, 5], [2, 6, 0]], "int32"),
}


def rnn(**kwargs):
    return models.seq2seq_rnn(12, 10, embedding_dim=6, units=8, **kwargs)


def transformer(**kwargs):
    sizes = {"sequence_length": 8, "num_layers": 1, "num_heads": 2, "hidden_dim": 8}
    return models.transformer(12, 10, intermediate_dim=16, **{**sizes, **kwargs})


@pytest.mark.parametrize(
    "build",
    [rnn, lambda: rnn(rnn="lstm"), transformer, lambda: transformer(normalize_first=False)],
)
def test_models_are_plain_functional_models_that_save(build, tmp_path):
    model = build()
    assert type(model).__name__ == "Functional"
    logits = numpy(model(INPUTS))
    assert logits.shape == (2, 3, 10)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(INPUTS)), logits, atol=1e-6)


@pytest.mark.parametrize("build", [rnn, lambda: rnn(rnn="lstm"), transformer])
def test_padding_of_source_and_target_changes_nothing(build):
    model = build()
    wider = {k: np.pad(v, ((0, 0), (0, 2))) for k, v in INPUTS.items()}
    expected, got = numpy(model(INPUTS)), numpy(model(wider))
    np.testing.assert_allclose(got[0, :3], expected[0], atol=1e-5)
    np.testing.assert_allclose(got[1, :2], expected[1, :2], atol=1e-5)


def test_the_rnn_is_what_a_user_writes_by_hand():
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    x = layers.Embedding(12, 6, mask_zero=True)(source)
    encoder = layers.Bidirectional(GRU(4, return_sequences=True, return_state=True))
    memory, forward, backward = encoder(x)
    state = layers.Dense(8, activation="tanh")(layers.concatenate([forward, backward]))
    y = layers.Embedding(10, 6, mask_zero=True)(target)
    y = GRU(8, return_sequences=True)(y, initial_state=[state])
    y = layers.concatenate([y, AdditiveAttention(4)(y, memory)])
    logits = layers.Dense(10)(layers.Dense(8, activation="tanh")(y))
    by_hand = keras.Model({"source": source, "target": target}, logits)
    model = rnn()
    copy_weights(model, by_hand)
    np.testing.assert_allclose(numpy(by_hand(INPUTS)), numpy(model(INPUTS)), atol=1e-6)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_the_transformer_is_what_a_user_writes_by_hand(pre_norm):
    def last_norm(x):
        return layers.LayerNormalization(epsilon=1e-5)(x) if pre_norm else x

    options = {"intermediate_dim": 16, "num_heads": 2, "normalize_first": pre_norm}
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    x = last_norm(TransformerEncoderBlock(**options)(PositionalEmbedding(12, 8, 8)(source)))
    y = last_norm(TransformerDecoderBlock(**options)(PositionalEmbedding(10, 8, 8)(target), x))
    by_hand = keras.Model({"source": source, "target": target}, layers.Dense(10)(y))
    model = transformer(normalize_first=pre_norm)
    copy_weights(model, by_hand)
    np.testing.assert_allclose(numpy(by_hand(INPUTS)), numpy(model(INPUTS)), atol=1e-6)


def copy_weights(model, other):
    """Weights of one model into another that has the same layers, made in the same order."""
    for kind in {type(layer) for layer in model.layers if layer.weights}:
        mine, theirs = ([la for la in made(m) if type(la) is kind] for m in (model, other))
        for a, b in zip(mine, theirs, strict=True):
            b.set_weights(a.get_weights())


def made(model):
    """Layers with weights from the inputs to the outputs: the source's side, then the target's."""
    found = [layer for layer in model.layers if layer.weights]
    return sorted(found, key=lambda layer: [w.shape for w in layer.weights].__repr__())


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: models.seq2seq_rnn(0, 10), "source_vocabulary_size"),
        (lambda: rnn(rnn="elman"), "rnn"),
        (lambda: models.seq2seq_rnn(9, 9, units=7), "even"),
        (lambda: transformer(num_layers=0), "num_layers"),
        (lambda: transformer(hidden_dim=9), "even"),
        (lambda: transformer(num_heads=3), "num_heads"),
    ],
)
def test_bad_sizes_are_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()
