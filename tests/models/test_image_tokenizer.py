import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from keras_seq.layers import GumbelQuantizer
from keras_seq.models import image_tokenizer

SIZES = {"vocabulary_size": 6, "patch_size": 4, "num_layers": 1, "hidden_dim": 8}
IMAGES = np.random.default_rng(0).uniform(size=(3, 8, 12, 3)).astype("float32")


def tokenizer(**arguments):
    return image_tokenizer((8, 12, 3), **{**SIZES, "embedding_dim": 4, **arguments})


@pytest.mark.parametrize("quantizer", ["vector", "gumbel"])
def test_decoding_what_was_encoded_is_what_the_autoencoder_gives(quantizer):
    parts = tokenizer(quantizer=quantizer)
    ids = numpy(parts.encoder(IMAGES))
    assert ids.shape == (3, 2, 3) and ids.dtype == "int32" and ids.min() >= 0 and ids.max() < 6
    images = numpy(parts.decoder(ids))
    assert images.shape == IMAGES.shape
    np.testing.assert_allclose(images, numpy(parts.autoencoder(IMAGES)), atol=1e-5)


def test_a_token_depends_on_its_patch_alone():
    encoder = tokenizer(vocabulary_size=64).encoder
    moved = np.roll(IMAGES, (4, 4), axis=(1, 2))
    np.testing.assert_array_equal(
        numpy(encoder(moved)), np.roll(numpy(encoder(IMAGES)), (1, 1), axis=(1, 2))
    )


def test_training_the_autoencoder_trains_the_other_two():
    parts = tokenizer(quantizer=GumbelQuantizer(6, kl_weight=0.1, seed=0))
    before = numpy(parts.decoder(np.zeros((1, 2, 3), "int32")))
    parts.autoencoder.compile("adam", "mse")
    parts.autoencoder.fit(IMAGES, IMAGES, epochs=2, verbose=0)
    assert np.abs(numpy(parts.decoder(np.zeros((1, 2, 3), "int32"))) - before).max() > 1e-4


def test_each_part_saves_and_loads_by_itself(tmp_path):
    parts = tokenizer()
    ids = parts.encoder(IMAGES)
    for part, x in zip(parts, (IMAGES, IMAGES, ids), strict=True):
        part.save(tmp_path / "part.keras")
        loaded = keras.models.load_model(tmp_path / "part.keras")
        np.testing.assert_allclose(numpy(loaded(x)), numpy(part(x)), atol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"image_shape": (8, 10, 3)}, r"`image_shape` of image_tokenizer.*\(8, 10, 3\)"),
        ({"quantizer": "hash"}, "`quantizer` of image_tokenizer.*'hash'"),
        ({"num_layers": 0}, "`num_layers` of image_tokenizer.*num_layers=0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        image_tokenizer(**{"image_shape": (8, 12, 3), **SIZES, **arguments})
