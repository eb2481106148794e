import itertools
import re

import numpy as np
import pytest
import tensorflow_datasets as tfds

from keras_seq.data import FashionScenes, captions, fashion_scenes
from keras_seq.data.fashion_scenes import GARMENTS, SIDE, caption, make_splits, split_combinations

SIZES = {"train": 120, "validation": 30, "test": 30}
ROW = rf"({'|'.join(GARMENTS.values())})(?: left of ({'|'.join(GARMENTS.values())}))?"


def source(split):
    """Images of one brightness each, which tells the split and the label."""
    labels = np.arange(100) % 10
    brightness = 20 + labels + 10 * list(SIZES).index(split)
    return np.ones((100, 28, 28, 1), "uint8") * brightness[:, None, None, None].astype(
        "uint8"
    ), labels


SPLITS = make_splits({split: source(split) for split in SIZES}, SIZES)


def parse(text):
    """The rows of names that a caption tells of."""
    rows = [re.fullmatch(ROW, row) for row in text.split(", above ")]
    assert all(rows), text
    return [[name for name in row.groups() if name] for row in rows]


def kinds(text):
    """The names in a caption, in alphabetical order."""
    return tuple(sorted(itertools.chain(*parse(text))))


def read(scene, split):
    """The rows of names in a scene: parts of one brightness, by where they are."""
    names = {20 + label + 10 * list(SIZES).index(split): n for label, n in GARMENTS.items()}
    found = []
    for value in set(np.unique(scene)) - {0}:
        rest = scene[..., 0] == value
        while rest.any():
            top, left = np.argwhere(rest)[0]
            assert rest[top : top + 28, left : left + 28].all()
            rest[top : top + 28, left : left + 28] = False
            found.append((top, left, names[value]))
    rows = {}
    for top, left, name in sorted(found):
        rows.setdefault(top, []).append((left, name))
    return [[name for _, name in sorted(row)] for _, row in sorted(rows.items())]


@pytest.mark.parametrize("split", SIZES)
def test_a_caption_tells_what_is_in_the_scene_and_where(split):
    scenes, texts = SPLITS[split]
    assert scenes.shape == (SIZES[split], SIDE, SIDE, 1) and scenes.dtype == np.uint8
    assert [read(scene, split) for scene in scenes] == [parse(text) for text in texts]
    assert {len(kinds(text)) for text in texts} == {2, 3}


def test_no_combination_of_kinds_is_in_two_splits():
    seen = [{kinds(text) for text in texts} for _, texts in SPLITS.values()]
    assert not any(a & b for a, b in itertools.combinations(seen, 2))
    combinations = split_combinations(np.random.RandomState(0))
    counts = {split: [len(of[size]) for size in (2, 3)] for split, of in combinations.items()}
    assert counts == {"train": [28, 96], "validation": [4, 12], "test": [4, 12]}
    assert {kind for of in combinations["train"].values() for c in of for kind in c} == {*GARMENTS}


def test_arrangements_and_captions_determine_each_other():
    assert caption([[7, 8], [4]]) == "a sneaker left of a bag, above a coat"
    assert parse(caption([[1], [3, 3]])) == [["trousers"], ["a dress", "a dress"]]


def test_the_draw_is_the_same_every_time_and_another_with_another_seed():
    again, other = (
        make_splits({"test": source("test")}, {"test": 20}, seed)["test"] for seed in (0, 1)
    )
    same = make_splits({"test": source("test")}, {"test": 20})["test"]
    np.testing.assert_array_equal(same[0], again[0])
    assert same[1] == again[1] != other[1]


def test_tfds_makes_it_from_fashion_mnist(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_scenes, "SIZES", SIZES)
    asked = []

    def read_source(name, data_dir):
        asked.append((name, data_dir))
        return {split: source(split) for split in SIZES}

    monkeypatch.setattr(fashion_scenes, "read_source_images", read_source)
    builder = FashionScenes(data_dir=tmp_path)
    builder.download_and_prepare()
    assert asked == [("fashion_mnist", tmp_path)]
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == SIZES
    data = captions("fashion_scenes", data_dir=tmp_path, tokenizer="word", batch_size=8)
    pairs = zip(data.pixels["test"], data.texts["test"], strict=True)
    assert all([read(scene, "test")] == [parse(text) for text in texts] for scene, texts in pairs)
    assert tfds.load("fashion_scenes", split="test", data_dir=tmp_path, as_supervised=True)
