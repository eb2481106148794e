import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from tests.layers.attention.attention_equations import band, slopes
from tests.layers.layer_equations import normal, softmax


def numpy(x):
    return ops.convert_to_numpy(x)


def test_the_slopes_of_eight_heads_are_the_papers():
    expected = [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]
    np.testing.assert_allclose(ks.layers.AlibiBias().slopes(8), expected, rtol=1e-6)


@pytest.mark.parametrize("heads", [1, 2, 3, 6, 12, 16])
def test_slopes_follow_the_authors_rule(heads):
    np.testing.assert_allclose(ks.layers.AlibiBias().slopes(heads), slopes(heads), rtol=1e-6)


@pytest.mark.parametrize("time", [1, 4])
def test_scores_lose_slope_times_distance(time):
    scores = normal(2, 3, time, 4)
    distance = np.abs(np.arange(4 - time, 4)[:, None] - np.arange(4))  # queries stand at the end
    expected = scores - slopes(3)[:, None, None] * distance
    np.testing.assert_allclose(numpy(ks.layers.AlibiBias()(scores)), expected, atol=1e-6)


@pytest.mark.parametrize("heads, most", [(4, 8), (6, 8), (4, 3)])
def test_the_softmax_of_keras_hubs_is_the_same(heads, most):
    keras_hub = pytest.importorskip("keras_hub", exc_type=ImportError)
    scores, visible = normal(2, heads, 5, 5), band(5)
    layers = (ks.layers.AlibiBias(most), keras_hub.layers.AlibiBias(most))
    ours, theirs = (softmax(np.where(visible, numpy(layer(scores)), -1e9)) for layer in layers)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_its_configuration_brings_it_back():
    layer = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(ks.layers.AlibiBias(4))
    )
    assert layer.alibi_bias_max == 4 and layer.compute_output_shape((2, 3, 4, 5)) == (2, 3, 4, 5)


@pytest.mark.parametrize("value", [0, -8, "8"])
def test_a_bad_steepness_is_named(value):
    with pytest.raises(ValueError, match=f"`alibi_bias_max`.*alibi_bias_max={value!r}"):
        ks.layers.AlibiBias(value)


def test_scores_of_another_rank_are_refused():
    with pytest.raises(ValueError, match=r"`attention_scores` of AlibiBias .*\(B, H, T, S\)"):
        ks.layers.AlibiBias()(normal(2, 3, 4))
