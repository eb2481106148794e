import re
import unicodedata

import tensorflow_datasets as tfds

from keras_seq.data._date_forms import FORMS
from keras_seq.data.date_translation import LONGEST, make_splits


def test_tfds_loads_it_like_any_other_dataset(date_dir):
    dataset, info = tfds.load(
        "date_translation", split="validation[:5]", data_dir=date_dir, with_info=True
    )
    assert info.supervised_keys == ("source", "target")
    assert {name: split.num_examples for name, split in info.splits.items()} == {
        "train": 60_000,
        "validation": 2_000,
        "test": 2_000,
    }
    assert len(list(dataset)) == 5


def test_no_source_has_two_targets_and_no_source_is_in_two_splits(date_pairs):
    sources = [source for split in date_pairs.values() for source in split[0]]
    assert len(sources) == len(set(sources)) == 64_000


def test_targets_are_iso_dates_of_the_hundred_years(date_pairs):
    for _, targets in date_pairs.values():
        assert all(re.fullmatch(r"(19[5-9]|20[0-4])\d-[01]\d-[0-3]\d", t) for t in targets)


def test_sources_are_short_composed_and_have_ordinary_spaces(date_pairs):
    sources = [source for split in date_pairs.values() for source in split[0]]
    assert max(map(len, sources)) <= LONGEST
    assert all(unicodedata.is_normalized("NFC", source) for source in sources)
    spaces = {c for source in sources for c in source if c.isspace()}
    assert spaces == {" "}


def test_locales_have_about_equal_shares():
    splits = make_splits({"train": 1205, "test": 120})
    for examples, size in zip(splits.values(), (1205, 120), strict=True):
        counts = [sum(e["locale"] == locale for e in examples) for locale in FORMS]
        assert sum(counts) == size and max(counts) - min(counts) <= 1


def test_the_draw_is_the_same_every_time():
    assert make_splits({"train": 240}) == make_splits({"train": 240})
    assert make_splits({"train": 240}) != make_splits({"train": 240}, seed=1)


def test_two_readings_of_the_same_text_never_differ_in_another_draw():
    meanings = {}
    for seed in range(3):
        for example in make_splits({"train": 6000}, seed=seed)["train"]:
            target = meanings.setdefault(example["source"], example["target"])
            assert target == example["target"]
