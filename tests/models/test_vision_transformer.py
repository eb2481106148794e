import keras
import numpy as np
import pytest

from keras_seq.models import vision_transformer

numpy = keras.ops.convert_to_numpy
H, W, C, P, D, F, L, CLASSES = 8, 12, 3, 4, 8, 12, 2, 5
N = H * W // P**2
IMAGES = np.random.default_rng(0).normal(size=(2, H, W, C)).astype("float32")


def small(**arguments):
    sizes = {"num_layers": L, "num_heads": 2, "hidden_dim": D, "intermediate_dim": F}
    return vision_transformer((H, W, C), CLASSES, P, **{**sizes, **arguments})


def in_patches(images):
    """(B, N, P P C), in raster order."""
    cut = images.reshape(-1, H // P, P, W // P, P, C).swapaxes(2, 3)
    return cut.reshape(len(images), N, P * P * C)


@pytest.mark.parametrize("pooling", ["token", "gap"])
def test_it_has_the_parameters_of_the_paper(pooling):
    block = 4 * (D * D + D) + D * F + F + F * D + D + 2 * 2 * D
    positions = N + (pooling == "token")
    expected = P * P * C * D + D + positions * D + L * block + 2 * D + D * CLASSES + CLASSES
    expected += D * (pooling == "token")
    assert small(pooling=pooling).count_params() == expected


def test_what_goes_into_the_blocks_is_the_token_and_the_projected_patches_with_their_positions():
    model = small()
    token, kernel, bias = np.random.default_rng(1).normal(size=(3, P * P * C, D))
    token, bias = token[:1], bias[0]
    positions = np.random.default_rng(2).normal(size=(1 + N, D))
    model.get_layer("class_token").set_weights([token])
    model.get_layer("patches").set_weights([kernel.reshape(P, P, C, D), bias])
    model.get_layer("positions").set_weights([positions])
    patches = in_patches(IMAGES) @ kernel + bias
    expected = np.concatenate([np.repeat(token[None], 2, axis=0), patches], axis=1) + positions
    inner = keras.Model(model.input, model.get_layer("positions").output)
    np.testing.assert_allclose(numpy(inner(IMAGES)), expected, atol=1e-4)


@pytest.mark.parametrize("pooling", ["token", "gap"])
def test_the_head_reads_the_token_or_the_mean(pooling):
    model = small(pooling=pooling)
    last = numpy(keras.Model(model.input, model.get_layer("norm").output)(IMAGES))
    read = last[:, 0] if pooling == "token" else last.mean(axis=1)
    kernel, bias = model.get_layer("logits").get_weights()
    np.testing.assert_allclose(numpy(model(IMAGES)), read @ kernel + bias, atol=1e-5)


def test_without_positions_it_reads_a_bag_of_patches():
    model = small()
    table = model.get_layer("positions")
    shuffled = in_patches(IMAGES)[:, np.random.default_rng(3).permutation(N)]
    images = shuffled.reshape(-1, H // P, W // P, P, P, C).swapaxes(2, 3).reshape(IMAGES.shape)
    assert np.abs(numpy(model(images)) - numpy(model(IMAGES))).max() > 1e-4
    table.set_weights([0 * table.get_weights()[0]])
    np.testing.assert_allclose(numpy(model(images)), numpy(model(IMAGES)), atol=1e-5)


def test_it_saves_and_loads(tmp_path):
    model = small(normalization="rms")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(IMAGES)), numpy(model(IMAGES)), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch_size": 5}, "`patch_size` of vision_transformer must divide .* 8 x 12"),
        ({"pooling": "max"}, "`pooling` of vision_transformer must be 'token'"),
        ({"num_classes": 0}, "num_classes"),
        ({"image_shape": (8, 8)}, r"`image_shape` of vision_transformer must be \(height"),
        ({"hidden_dim": 9}, "multiple of `num_heads`"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments, message):
    given = {"image_shape": (H, W, C), "num_classes": CLASSES, "patch_size": P, "num_heads": 2}
    with pytest.raises(ValueError, match=message):
        vision_transformer(**{**given, **arguments})
