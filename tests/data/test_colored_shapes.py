import numpy as np
import pytest

from keras_seq.data import ColoredShapes, load
from keras_seq.data.colored_shapes import SIZES, draw, make_splits


@pytest.fixture(scope="module")
def captions():
    return [caption for split in make_splits(SIZES).values() for caption in split]


def test_the_splits_are_all_captions_each_in_one_of_them(captions):
    assert len(captions) == len(set(captions)) == 6 * 4 * 8 * 6 * 8 == 9216
    assert SIZES["train"] == round(0.3 * 9216)


def test_no_two_captions_have_the_same_picture(captions):
    assert len({draw(caption).tobytes() for caption in captions}) == len(captions)


def test_every_word_is_in_the_train_split(captions):
    words = {word for caption in make_splits(SIZES)["train"] for word in caption.split()}
    assert words == {word for caption in captions for word in caption.split()}


def test_the_draw_is_the_same_every_time():
    assert make_splits({"train": 20}) == make_splits({"train": 20})
    assert make_splits({"train": 20}) != make_splits({"train": 20}, seed=1)


def test_a_picture_shows_what_its_caption_says():
    image = draw("blue plain square low right over sand")
    assert (image[24:] == (232, 205, 150)).all()
    blue = (image == (48, 92, 222)).all(-1)
    rows, columns = np.nonzero(blue)
    assert blue.sum() == 14**2  # of radius 0.9 x 8
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == (16, 24)
    assert (image[:24][~blue[:24]] == 255).all()
    striped = (draw("blue striped square low right over sand") == (48, 92, 222)).all(-1)
    np.testing.assert_array_equal(striped, blue & (np.arange(32)[:, None] // 2 % 2 == 0))


def test_tfds_loads_it_like_any_other_dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "keras_seq.data.colored_shapes.SIZES", {"train": 6, "validation": 2, "test": 2}
    )
    splits = load("colored_shapes", data_dir=tmp_path)
    examples = list(splits["train"].as_numpy_iterator())
    assert len(examples) == 6
    for example in examples:
        np.testing.assert_array_equal(example["image"], draw(example["text"].decode()))
    assert ColoredShapes(data_dir=tmp_path).info.supervised_keys == ("image", "text")


@pytest.mark.parametrize("caption", ["red circle", "red plain egg top left over sand"])
def test_a_caption_that_cannot_be_drawn_is_shown(caption):
    with pytest.raises(ValueError, match=f"`caption` must be like.*{caption}"):
        draw(caption)


def test_more_captions_than_there_are_are_refused():
    with pytest.raises(ValueError, match="`sizes`.*9,216"):
        make_splits({"train": 9217})
