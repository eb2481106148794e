import numpy as np
import pytest
from keras import ops

from keras_seq.layers import VectorQuantizer

numpy = ops.convert_to_numpy


def vectors(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def quantizer(codebook, **arguments):
    """A layer whose codes are given and have been chosen ten times a batch."""
    layer = VectorQuantizer(len(codebook), **arguments)
    layer.build((None, codebook.shape[1]))
    layer.codebook.assign(codebook)
    layer.counts.assign(np.full(len(codebook), 10.0))
    layer.sums.assign(10 * codebook)
    return layer


def test_each_vector_becomes_the_nearest_code():
    codebook, x = vectors(7, 3), vectors(2, 5, 4, 3)
    layer = quantizer(codebook)
    distances = ((x[..., None, :] - codebook) ** 2).sum(-1)
    ids = numpy(layer(x, return_ids=True))
    np.testing.assert_array_equal(ids, distances.argmin(-1))
    np.testing.assert_allclose(numpy(layer(x)), codebook[ids], atol=1e-6)
    np.testing.assert_allclose(numpy(layer(ids, reverse=True)), codebook[ids])


def test_codes_move_to_the_mean_of_their_vectors_and_the_loss_is_their_distance():
    codebook, x = np.array([[0.0, 0], [5, 5]], "float32"), np.array([[1.0, 0], [0, 1], [6, 5]])
    layer = quantizer(codebook, momentum=0.8, commitment_weight=0.5)
    layer(x.astype("float32"), training=True)
    counts = 0.8 * 10 + 0.2 * np.array([2, 1])
    sums = 0.8 * 10 * codebook + 0.2 * np.array([[1, 1], [6, 5]])
    np.testing.assert_allclose(numpy(layer.counts), counts, rtol=1e-5)
    np.testing.assert_allclose(numpy(layer.codebook), sums / counts[:, None], rtol=1e-5)
    (loss,) = layer.losses
    np.testing.assert_allclose(float(loss), 0.5 * 3 / 6, rtol=1e-5)  # three ones among six numbers


def test_codes_that_no_vector_chooses_are_put_on_vectors_of_the_batch():
    codebook, x = np.full((16, 3), 100.0, "float32"), vectors(40, 3)
    codebook[0] = 0
    layer = quantizer(codebook, seed=0)
    layer.counts.assign(np.zeros(16))
    layer.sums.assign(np.zeros((16, 3)))
    layer(x, training=True)
    first, *others = numpy(layer.codebook)
    np.testing.assert_allclose(first, x.mean(0), atol=1e-5)
    gaps = np.abs(np.array(others)[:, None] - x).max(-1).min(1)
    np.testing.assert_allclose(gaps, 0, atol=1e-5)


@pytest.mark.needs_tensorflow(reason="tf.GradientTape")
def test_gradients_pass_straight_through():
    import tensorflow as tf

    layer, x = quantizer(vectors(7, 3), commitment_weight=0.0), tf.constant(vectors(5, 3))
    weights = vectors(5, 3)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(layer(x) * weights)
    np.testing.assert_allclose(tape.gradient(y, x), weights, atol=1e-6)


def test_the_usage_is_the_perplexity_of_the_codes_chosen():
    layer = quantizer(np.eye(4, dtype="float32"))
    layer(np.eye(4, dtype="float32")[[0, 0, 1, 2]], training=True)
    entropy = -(0.5 * np.log(0.5) + 2 * 0.25 * np.log(0.25))
    np.testing.assert_allclose(float(layer.codebook_usage()), np.exp(entropy), rtol=1e-5)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"vocabulary_size": 0}, "`vocabulary_size` of VectorQuantizer.*vocabulary_size=0"),
        ({"momentum": 1.0}, "`momentum` of VectorQuantizer"),
        ({"commitment_weight": -1}, "`commitment_weight` of VectorQuantizer.*=-1"),
        ({"min_count": "few"}, "`min_count` of VectorQuantizer.*'few'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        VectorQuantizer(**{"vocabulary_size": 4, **arguments})


def test_its_configuration_makes_it_anew():
    layer = VectorQuantizer(4, commitment_weight=0.5, momentum=0.9, min_count=0.1, seed=3)
    config = VectorQuantizer.from_config(layer.get_config()).get_config()
    assert config == layer.get_config()
