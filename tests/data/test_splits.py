import numpy as np
import pytest

from keras_seq.data._splits import choose_held_out, complete, our_splits


def test_two_percent_are_held_out_the_same_every_time_and_equal_ones_stay_together():
    keys = [f"text {i % 500}".encode() for i in range(1000)]  # every one occurs twice
    held = choose_held_out(keys)
    assert sum(held) == 20 and choose_held_out(keys) == held
    assert held[:500] == held[500:]
    turned = choose_held_out(keys[::-1])
    assert turned == held[::-1]


def test_of_contents_that_are_all_frequent_the_rarest_is_held_out():
    keys = [b"a"] * 50 + [b"b"] * 40 + [b"c"] * 60
    assert choose_held_out(keys) == [key == b"b" for key in keys]


def test_one_content_alone_cannot_be_held_out():
    with pytest.raises(ValueError, match="at least two distinct examples"):
        choose_held_out([b"a", b"a"])


def test_missing_splits_come_out_of_train_and_share_nothing_with_it():
    train = {"text": [f"a{i}" for i in range(300)], "x": np.arange(300)}
    dropped = {"train": {"empty": 3}}
    splits = complete({"train": train}, "text", dropped)
    assert list(splits) == ["train", "validation", "test"]
    assert [len(s["text"]) for s in splits.values()] == [288, 6, 6]
    for split in splits.values():
        assert split["text"] == [f"a{i}" for i in split["x"]]
    assert not set(splits["train"]["text"]) & set(splits["test"]["text"])
    assert dropped["test"] == {"empty": 0}
    only = complete({"train": train, "validation": train}, "text")
    assert only["validation"] is train and len(only["test"]["text"]) == 6


def test_splits_are_found_by_the_names_people_give_them():
    assert our_splits({"dev": 1, "training": 2, "unsupervised": 3}) == {"train": 2, "validation": 1}
