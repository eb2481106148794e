import keras
import numpy as np
import pytest
from keras import ops

from keras_seq.layers import GumbelQuantizer
from tests.layers.layer_equations import softmax

numpy = ops.convert_to_numpy


def quantizer(D=3, V=5, **arguments):
    layer = GumbelQuantizer(V, seed=0, **arguments)
    layer.build((None, D))
    rng = np.random.default_rng(0)
    layer.kernel.assign(rng.normal(size=(D, V)))
    layer.codebook.assign(rng.normal(size=(V, D)))
    return layer


X = np.random.default_rng(1).normal(size=(2, 4, 3)).astype("float32")


def test_the_code_of_the_largest_logit_is_chosen():
    layer = quantizer()
    ids = (X @ numpy(layer.kernel)).argmax(-1)
    np.testing.assert_array_equal(numpy(layer(X, return_ids=True)), ids)
    np.testing.assert_allclose(numpy(layer(X)), numpy(layer.codebook)[ids], rtol=1e-6)


def test_in_training_codes_are_drawn_by_their_probabilities():
    layer = quantizer(temperature=1e-3)  # mixtures of one code
    x = np.broadcast_to(X[:1, :1], (1, 20_000, 3))
    y = numpy(layer(x, training=True))[0]
    codebook = numpy(layer.codebook)
    drawn = ((y[:, None] - codebook) ** 2).sum(-1).argmin(-1)
    frequencies = np.bincount(drawn, minlength=5) / len(drawn)
    np.testing.assert_allclose(frequencies, softmax(X[0, 0] @ numpy(layer.kernel)), atol=0.02)


def test_a_high_temperature_mixes_all_codes_alike():
    layer = quantizer(temperature=1e6)
    expected = np.broadcast_to(numpy(layer.codebook).mean(0), X.shape)
    np.testing.assert_allclose(numpy(layer(X, training=True)), expected, atol=1e-3)


def test_the_temperature_follows_the_steps_of_training():
    falling = keras.optimizers.schedules.PolynomialDecay(1e6, 1, end_learning_rate=1e-3)
    layer = quantizer(temperature=falling)
    mixed, chosen = numpy(layer(X, training=True)), numpy(layer(X, training=True))
    codebook = numpy(layer.codebook)
    np.testing.assert_allclose(mixed, np.broadcast_to(codebook.mean(0), X.shape), atol=1e-3)
    nearest = ((chosen[..., None, :] - codebook) ** 2).sum(-1).min(-1)
    np.testing.assert_allclose(nearest, 0, atol=1e-3)


def test_the_loss_is_the_divergence_from_the_uniform_distribution():
    layer = quantizer(kl_weight=2.0)
    layer(X)
    p = softmax(X @ numpy(layer.kernel))
    (loss,) = layer.losses
    np.testing.assert_allclose(float(loss), 2 * (p * np.log(5 * p)).sum(-1).mean(), rtol=1e-4)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"temperature": 0}, "`temperature` of GumbelQuantizer.*temperature=0"),
        ({"kl_weight": -1.0}, "`kl_weight` of GumbelQuantizer.*kl_weight=-1.0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        GumbelQuantizer(4, **arguments)


def test_its_configuration_makes_it_anew():
    falling = keras.optimizers.schedules.CosineDecay(1.0, 10, alpha=1 / 16)
    layer = GumbelQuantizer(4, temperature=falling, kl_weight=0.1, seed=3)
    copy = GumbelQuantizer.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert float(copy.temperature(10)) == 1 / 16
