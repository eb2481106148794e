"""The mean over all tokens: on one device Keras' own; of several, in `test_replicas.py`."""

import keras
import numpy as np
import pytest

from keras_seq.training import TokenMean

B, T, V = 3, 4, 5
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(B, T, V)).astype("float32")
LABELS = RNG.integers(0, V, size=(B, T))
WEIGHTS = RNG.uniform(0.5, 2.0, size=(B, T)).astype("float32")
TOKENS = np.array([[3, 1, 4, 1], [2, 0, 0, 0], [1, 1, 1, 0]])


def masked_model():
    """A model whose outputs carry the mask of its padding."""
    tokens = keras.Input((T,), dtype="int32")
    x = keras.layers.Embedding(V, V, mask_zero=True)(tokens)
    return keras.Model(tokens, keras.layers.Dense(V)(x))


@pytest.mark.parametrize("weights", [None, WEIGHTS, WEIGHTS[:, :1]])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight"])
@pytest.mark.parametrize("ignore_class", [None, 2])
def test_on_one_device_it_is_the_loss_itself(weights, masked, reduction, ignore_class):
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction=reduction, ignore_class=ignore_class
    )
    logits = masked_model()(TOKENS) if masked else LOGITS
    expected = keras.ops.convert_to_numpy(loss(LABELS, logits, weights))
    got = keras.ops.convert_to_numpy(TokenMean(loss)(LABELS, logits, weights))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_names_and_functions_of_losses_are_taken():
    x, y = RNG.normal(size=(2, B, T)).astype("float32")
    for loss in ("mean_squared_error", keras.losses.mean_squared_error):
        got = TokenMean(loss)
        assert got.name == "mean_squared_error"
        expected = np.mean((x - y) ** 2)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(got(x, y)), expected, rtol=1e-6)


def test_a_batch_without_tokens_has_no_loss():
    loss = TokenMean(keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0))
    assert float(loss(np.zeros((B, T)), LOGITS)) == 0


def test_a_saved_model_has_its_loss(tmp_path):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1)
    model = masked_model()
    model.compile("sgd", TokenMean(loss, name="tokens"))
    value = model.test_on_batch(TOKENS, LABELS)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.loss.name == "tokens"
    assert again.loss.loss.get_config() == loss.get_config()
    np.testing.assert_allclose(again.test_on_batch(TOKENS, LABELS), value, rtol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_a_given_number_of_tokens_divides_the_sum(masked):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    logits = masked_model()(TOKENS) if masked else LOGITS
    expected = keras.ops.convert_to_numpy(loss(LABELS, logits, WEIGHTS)) / 50
    inner = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    mean = TokenMean(inner, num_tokens=50)
    got = keras.ops.convert_to_numpy(mean(LABELS, logits, WEIGHTS))
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert TokenMean.from_config(mean.get_config()).num_tokens == 50


def test_a_number_of_tokens_that_is_none_is_refused():
    with pytest.raises(ValueError, match="`num_tokens` of TokenMean"):
        TokenMean("mse", num_tokens=0)


@pytest.mark.parametrize("reduction", ["sum", None])
def test_a_loss_that_is_no_mean_is_refused(reduction):
    with pytest.raises(ValueError, match="must have a mean as its reduction"):
        TokenMean(keras.losses.MeanSquaredError(reduction=reduction))
