"""Label smoothing of integer labels: Keras' loss of the one-hot ones."""

import keras
import numpy as np
import pytest

import keras_seq as ks
from keras_seq.training import Packed, SmoothedCrossentropy, TokenMean

B, T, V, EPS = 3, 4, 5, 0.1
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(B, T, V)).astype("float32")
LABELS = RNG.integers(0, V, size=(B, T))
WEIGHTS = RNG.uniform(0.5, 2.0, size=(B, T)).astype("float32")
TOKENS = np.array([[3, 1, 4, 1], [2, 0, 0, 0], [1, 1, 1, 0]])


def number(x):
    return keras.ops.convert_to_numpy(x)


def losses(labels, logits, eps):
    """The definition, in NumPy."""
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    q = (1 - eps) * np.eye(V)[labels] + eps / V
    return -(q * log_p).sum(-1)


def masked_model():
    """A model whose logits carry the mask of its padding."""
    tokens = keras.Input((T,), dtype="int32")
    x = keras.layers.Embedding(V, 6, mask_zero=True)(tokens)
    return keras.Model(tokens, keras.layers.Dense(V)(x))


@pytest.mark.parametrize("eps", [0.0, 0.1, 0.5])
def test_the_losses_are_those_of_the_definition(eps):
    got = number(SmoothedCrossentropy(eps, reduction=None)(LABELS, LOGITS))
    np.testing.assert_allclose(got, losses(LABELS, LOGITS, eps), rtol=1e-5)


@pytest.mark.parametrize("weights", [None, WEIGHTS, WEIGHTS[:, :1]])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "sum"])
def test_it_is_keras_loss_of_one_hot_labels(weights, masked, reduction):
    logits = masked_model()(TOKENS) if masked else LOGITS
    loss = SmoothedCrossentropy(EPS, reduction=reduction)
    peer = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=EPS, reduction=reduction
    )
    expected = number(peer(np.eye(V)[LABELS], logits, weights))
    np.testing.assert_allclose(number(loss(LABELS, logits, weights)), expected, rtol=1e-5)
    if reduction != "sum":
        got = number(TokenMean(loss)(LABELS, logits, weights))
        np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("padding", [-1, 0])
def test_an_ignored_class_is_left_out_of_the_mean(padding):
    labels = np.where(np.arange(T) < [[2], [4], [1]], np.maximum(LABELS, 1), padding)
    expected = losses(labels, LOGITS, EPS)[labels != padding].mean()
    loss = SmoothedCrossentropy(EPS, ignore_class=padding)
    for one in (loss, TokenMean(loss)):
        np.testing.assert_allclose(number(one(labels, LOGITS)), expected, rtol=1e-5)


def test_labels_may_be_columns_or_one_a_row():
    loss = SmoothedCrossentropy(EPS)
    expected = losses(LABELS, LOGITS, EPS)
    np.testing.assert_allclose(number(loss(LABELS[..., None], LOGITS)), expected.mean(), rtol=1e-5)
    got = number(loss(LABELS[:, 0], LOGITS[:, 0]))
    np.testing.assert_allclose(got, expected[:, 0].mean(), rtol=1e-5)


def test_it_is_smallest_where_the_model_gives_the_smoothed_labels():
    q = (1 - EPS) * np.eye(V)[LABELS] + EPS / V
    entropy = -(q * np.log(q)).sum(-1).mean()
    got = number(SmoothedCrossentropy(EPS)(LABELS, np.log(q).astype("float32")))
    np.testing.assert_allclose(got, entropy, rtol=1e-5)


@pytest.mark.needs_tensorflow(reason="the operations are those of its graph")
def test_no_one_hot_labels_are_made():
    import tensorflow as tf

    function = tf.function(SmoothedCrossentropy(EPS, ignore_class=0).__call__)
    graph = function.get_concrete_function(LABELS, LOGITS).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert "LogSoftmax" in kinds and "OneHot" not in kinds


def test_packed_documents_are_trained_with_it_and_a_saved_model_has_it(tmp_path):
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(V, 6)(tokens)
    x = ks.layers.GRU(6, return_sequences=True)(x)
    trainer = Packed(keras.Model(tokens, keras.layers.Dense(V)(x)))
    loss = SmoothedCrossentropy(0.2, ignore_class=0, reduction="mean_with_sample_weight")
    trainer.compile("sgd", TokenMean(loss))
    inputs = {"tokens": TOKENS, "reset": np.eye(T, dtype=bool)[[0, 1, 2]]}
    value = trainer.test_on_batch(inputs, LABELS, sample_weight=WEIGHTS)
    trainer.save(tmp_path / "trainer.keras")
    again = keras.models.load_model(tmp_path / "trainer.keras")
    assert again.loss.loss.get_config() == loss.get_config()
    got = again.test_on_batch(inputs, LABELS, sample_weight=WEIGHTS)
    np.testing.assert_allclose(got, value, rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_model_in_mixed_precision_is_trained_to_what_one_in_float32_is(policy):
    def trained(dtype):
        keras.utils.set_random_seed(0)
        tokens = keras.Input((T,), dtype="int32")
        x = keras.layers.Embedding(600, 6, dtype=dtype)(tokens)
        model = keras.Model(tokens, keras.layers.Dense(600, dtype=dtype)(x))
        model.compile(
            keras.optimizers.SGD(5.0), TokenMean(SmoothedCrossentropy(EPS)), auto_scale_loss=True
        )
        labels = np.array([[513, 514, 515, 516], [257, 258, 259, 597]])  # bfloat16 has 512, 516, ..
        return [float(model.train_on_batch(labels, labels)) for _ in range(3)]

    in_float32 = trained("float32")
    assert in_float32[-1] < in_float32[0] - 0.01
    np.testing.assert_allclose(trained(policy), in_float32, rtol=1e-2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_dtype_that_cannot_hold_ids_is_refused(dtype):
    with pytest.raises(ValueError, match="`dtype` of SmoothedCrossentropy must hold the ids"):
        SmoothedCrossentropy(dtype=dtype)


@pytest.mark.parametrize("eps", [-0.1, 1.0, None])
def test_a_smoothing_outside_its_range_is_refused(eps):
    with pytest.raises(ValueError, match="`label_smoothing` of SmoothedCrossentropy"):
        SmoothedCrossentropy(eps)


@pytest.mark.parametrize("labels", [np.eye(V)[LABELS], LABELS[:, :2]])
def test_labels_that_do_not_fit_the_logits_are_refused(labels):
    with pytest.raises(ValueError, match="Labels of SmoothedCrossentropy must be ids"):
        SmoothedCrossentropy()(labels, LOGITS)
