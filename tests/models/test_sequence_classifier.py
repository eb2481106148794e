import keras
import numpy as np
import pytest
from keras import layers
from keras.ops import convert_to_numpy as numpy

from keras_seq.layers import GRU
from keras_seq.models import sequence_classifier

SMALL = {"embedding_dim": 6, "hidden_dim": 4, "num_heads": 2, "intermediate_dim": 6}
TOKENS = np.array([[4, 5, 6, 7, 3], [9, 8, 3, 0, 0]], "int32")


def model_of(*arguments, **named):
    return sequence_classifier(3, *arguments, **{**SMALL, **named})


def series(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize(
    "cell, bidirectional", [("lstm", True), ("gru", False), ("transformer", True)]
)
def test_padding_changes_nothing(cell, bidirectional, pooling):
    arguments = {"cell": cell, "bidirectional": bidirectional, "pooling": pooling, "num_layers": 2}
    for model, x in (
        (model_of(10, **arguments), TOKENS[1:, :3]),
        (model_of(num_features=2, **arguments), series(1, 3, 2)),
    ):
        padded = np.pad(x, ((0, 0), (0, 4)) + ((0, 0),) * (x.ndim - 2))
        np.testing.assert_allclose(numpy(model(padded)), numpy(model(x)), atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru", "transformer"])
def test_classifiers_are_plain_functional_models_that_save(cell, tmp_path):
    model = model_of(10, cell=cell, pooling="mean")
    assert type(model).__name__ == "Functional"
    logits = numpy(model(TOKENS))
    assert logits.shape == (2, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(TOKENS)), logits, atol=1e-6)


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_it_is_what_a_user_writes_by_hand(pooling):
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(10, 6)(tokens)
    x = layers.Bidirectional(GRU(4, return_sequences=True))(x)
    x = layers.Bidirectional(GRU(4, return_sequences=pooling != "last"))(x)
    pools = {"mean": layers.GlobalAveragePooling1D(), "max": layers.GlobalMaxPooling1D()}
    x = x if pooling == "last" else pools[pooling](x)
    by_hand = keras.Model(tokens, layers.Dense(3)(x))
    model = model_of(10, cell="gru", num_layers=2, pooling=pooling)
    by_hand.set_weights(model.get_weights())
    whole = TOKENS[:1]  # without padding, which these poolings would not all leave out
    np.testing.assert_allclose(numpy(by_hand(whole)), numpy(model(whole)), atol=1e-6)


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_the_transformers_pooling_takes_what_is_not_padding(pooling):
    model = model_of(10, cell="transformer", pooling=pooling)
    h = numpy(keras.Model(model.input, model.get_layer("norm").output)(TOKENS))
    pools = {
        "last": lambda h: h[-1],
        "mean": lambda h: h.mean(axis=0),
        "max": lambda h: h.max(axis=0),
    }
    pooled = np.stack([pools[pooling](h[0]), pools[pooling](h[1, :3])])
    W, b = model.get_layer("logits").get_weights()
    np.testing.assert_allclose(numpy(model(TOKENS)), pooled @ W + b, atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "transformer"])
def test_in_one_direction_no_step_sees_a_later_one(cell):
    model = model_of(10, cell=cell, bidirectional=False, pooling="mean")
    last = "norm" if cell == "transformer" else f"{cell}_0"
    h = keras.Model(model.input, model.get_layer(last).output)
    changed = TOKENS.copy()
    changed[0, 3:] = 1
    np.testing.assert_allclose(numpy(h(changed))[0, :3], numpy(h(TOKENS))[0, :3], atol=1e-5)


def test_zeros_inside_a_series_are_no_padding():
    model = model_of(num_features=2, cell="gru", pooling="mean")
    x = series(1, 6, 2)
    x[:, 2:4] = 0
    without = np.delete(x, [2, 3], axis=1)
    assert abs(numpy(model(x)) - numpy(model(without))).max() > 1e-4


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("cell", ["lstm", "transformer"])
def test_a_row_without_tokens_has_finite_logits(cell, pooling):
    logits = numpy(model_of(10, cell=cell, pooling=pooling)(np.zeros((1, 4), "int32")))
    assert np.isfinite(logits).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "One of `vocabulary_size`.*vocabulary_size=None"),
        ({"vocabulary_size": 9, "num_features": 2}, "One of.*num_features=2"),
        ({"vocabulary_size": 0}, "vocabulary_size=0"),
        ({"vocabulary_size": 9, "cell": "rnn"}, "`cell` of sequence_classifier.*'rnn'"),
        ({"vocabulary_size": 9, "pooling": "sum"}, "`pooling` of sequence_classifier.*'sum'"),
        ({"vocabulary_size": 9, "num_layers": 0}, "num_layers=0"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        sequence_classifier(3, **arguments)
