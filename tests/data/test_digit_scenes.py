import numpy as np
import pytest
import tensorflow_datasets as tfds

import keras_seq.data
from keras_seq.data import digit_scenes

RNG = np.random.RandomState(0)


def digits(count=30, brightness=200):
    """Images with a bar each, as bright as its label says, and their labels."""
    images, labels = np.zeros((count, 28, 28, 1), "uint8"), np.arange(count) % 10
    for image, label in zip(images, labels, strict=True):
        top, left = RNG.randint(4, 8, 2)
        image[top : top + RNG.randint(8, 16), left : left + RNG.randint(6, 16)] = 105 + 15 * label
    return images, labels


SOURCE = digits()


@pytest.fixture(scope="module")
def scenes():
    return digit_scenes.make_splits({"train": SOURCE}, {"train": 200})["train"]


def test_a_scene_has_one_to_four_digits_and_their_boxes_do_not_overlap(scenes):
    assert {len(labels) for _, _, labels in scenes} == {1, 2, 3, 4}
    for image, boxes, labels in scenes:
        assert image.shape == (64, 64, 1) and image.dtype == np.uint8
        assert boxes.shape == (len(labels), 4)
        covered = np.zeros((64, 64), int)
        for top, left, bottom, right in boxes:
            assert 0 <= top < bottom <= 64 and 0 <= left < right <= 64
            covered[top:bottom, left:right] += 1
        assert covered.max() == 1
        assert (image[covered == 0] == 0).all()


def test_a_box_is_the_smallest_around_its_digit_whose_label_it_has(scenes):
    for image, boxes, labels in scenes:
        for (top, left, bottom, right), label in zip(boxes, labels, strict=True):
            digit = image[top:bottom, left:right, 0]
            ink = digit >= 64
            assert ink[0].any() and ink[-1].any() and ink[:, 0].any() and ink[:, -1].any()
            assert abs(int(digit.max()) - (105 + 15 * label)) <= 1  # resizing keeps its brightness


def test_sizes_differ_by_a_factor_of_two(scenes):
    heights = np.concatenate([boxes[:, 2] - boxes[:, 0] for _, boxes, _ in scenes])
    assert heights.min() <= 8 * 20 / 28 + 2 and heights.max() >= 15 * 40 / 28 - 4


def test_resizing_keeps_flat_images_and_averages_when_it_shrinks():
    for after in (14, 28, 40):
        matrix = digit_scenes._resizing(28, after)
        np.testing.assert_allclose(matrix.sum(axis=1), 1.0)
    np.testing.assert_allclose(digit_scenes._resizing(28, 28), np.eye(28))
    # Half the size: a tent over four pixels, 1 3 3 1 eighths.
    np.testing.assert_allclose(digit_scenes._resizing(28, 14)[3, 5:9], [1 / 8, 3 / 8, 3 / 8, 1 / 8])


def test_the_draw_is_the_same_every_time_and_differs_with_the_seed():
    def draw(seed):
        return digit_scenes.make_splits({"test": SOURCE}, {"test": 3}, seed)["test"]

    for one, other in zip(draw(0), draw(0), strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a[0], b[0]) for a, b in zip(draw(0), draw(1), strict=True))


def test_tfds_makes_it_from_the_images_of_each_split(tmp_path, monkeypatch):
    asked = []

    def read(name, data_dir):
        asked.append((name, data_dir))
        return {split: digits() for split in ("train", "validation", "test")}

    monkeypatch.setattr(digit_scenes, "read_source_images", read)
    monkeypatch.setattr(digit_scenes, "SIZES", {"train": 6, "validation": 2, "test": 3})
    builder = keras_seq.data.DigitScenes(data_dir=tmp_path)
    builder.download_and_prepare()
    assert asked == [("mnist", tmp_path)]
    sizes = {name: split.num_examples for name, split in builder.info.splits.items()}
    assert sizes == {"train": 6, "validation": 2, "test": 3}
    for example in tfds.as_numpy(builder.as_dataset(split="train")):
        image, boxes = example["image"], example["objects"]["bbox"]
        labels = example["objects"]["label"]
        assert 1 <= len(labels) <= 4
        for (top, left, bottom, right), label in zip(np.round(boxes * 64), labels, strict=True):
            brightness = image[int(top) : int(bottom), int(left) : int(right)].max()
            assert abs(int(brightness) - (105 + 15 * label)) <= 1
