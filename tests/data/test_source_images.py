import numpy as np
import tensorflow_datasets as tfds

from keras_seq.data._source_images import read_source_images


class NumberedImages(tfds.core.GeneratorBasedBuilder):
    """Images of one pixel, numbered in the order in which they are drawn."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(1, 1, 1)),
            "label": tfds.features.ClassLabel(num_classes=3),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 40), "test": self._generate_examples(40, 50)}

    def _generate_examples(self, begin, end):
        for i in range(begin, end):
            yield i, {"image": np.full((1, 1, 1), i, "uint8"), "label": i % 3}


def test_validation_is_a_part_of_train_and_no_image_is_in_two_splits(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_seq.data._source_images.VALIDATION", 10)
    sources = read_source_images("numbered_images", tmp_path)
    numbers = {split: images.ravel().tolist() for split, (images, _) in sources.items()}
    assert {split: len(found) for split, found in numbers.items()} == {
        "train": 30,
        "validation": 10,
        "test": 10,
    }
    assert sorted(numbers["train"] + numbers["validation"]) == list(range(40))
    for images, labels in sources.values():
        np.testing.assert_array_equal(images.ravel() % 3, labels)
