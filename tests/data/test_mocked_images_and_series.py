"""TFDS datasets of images, captions and series, known by their features alone."""

import numpy as np
import pytest

from keras_seq.data import captions, images, series


@pytest.mark.parametrize(
    ("name", "shape"),
    [("mnist", (28, 28, 1)), ("fashion_mnist", (28, 28, 1)), ("cifar10", (32, 32, 3))],
)
def test_datasets_of_images_and_labels(mocked, name, shape):
    with mocked(name) as folder:
        data = images(name, data_dir=folder, batch_size=8)
    x, y = next(iter(data.train))
    assert x.shape == (8, *shape) and y.shape == (8,) and len(data.class_names) == 10
    assert {split: len(labels) for split, labels in data.labels.items()} == {
        "train": 39,
        "validation": 1,
        "test": 40,
    }


def test_images_of_every_size(mocked):
    with mocked("cats_vs_dogs", ("train",)) as folder:
        data = images("cats_vs_dogs", data_dir=folder, image_size=(16, 16), batch_size=8)
    assert data.image_shape == (16, 16, 3) and data.class_names == ("cat", "dog")
    assert data.train.element_spec[0].shape == (8, 16, 16, 3)


def test_a_dataset_of_images_with_several_captions(mocked):
    options = {"text": "captions/text", "image_size": (8, 8), "tokenizer": "character"}
    with mocked("coco_captions", ("train", "val", "test"), num_examples=12) as folder:
        data = captions("coco_captions", data_dir=folder, batch_size=4, **options)
    inputs, labels, _ = next(iter(data.train))
    assert inputs["image"].shape == (4, 8, 8, 3) and inputs["text"].shape == labels.shape
    assert len(data.texts["train"]) == len(data.pixels["train"]) == 12


def test_a_dataset_of_steps(mocked):
    columns = ["new_confirmed", "rainfall_mm"]  # of hundreds
    with mocked("covid19", ("train",), num_examples=20) as folder:
        data = series("covid19", data_dir=folder, columns=columns, past=2, future=1, batch_size=4)
    x, y = next(iter(data.test))
    assert x.shape == (4, 2, 2) and y.shape == (4, 1, 2) and np.isfinite(x).all()


def test_a_dataset_of_whole_series(mocked):
    """Speech is a series of numbers, too."""
    with mocked("speech_commands", ("train", "validation", "test")) as folder:
        data = series("speech_commands", data_dir=folder, columns="audio", past=4, future=1)
    assert data.columns == ("audio",) and next(iter(data.train))[0].shape == (32, 4, 1)
