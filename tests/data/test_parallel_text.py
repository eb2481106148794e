import pytest

from keras_seq.data._load import find_builder
from keras_seq.data._parallel_text import choose_columns, hold_out


def test_columns_come_from_supervised_keys_or_the_two_languages(write_folder, date_dir):
    builder = find_builder("date_translation", data_dir=date_dir)
    assert choose_columns(builder) == ("source", "target")
    assert choose_columns(builder, source="target") == ("target", "source")
    folder = find_builder(write_folder())
    assert choose_columns(folder) == ("de", "en")
    assert choose_columns(folder, target="de") == ("en", "de")


def test_columns_that_cannot_be_told_are_asked_for(date_dir):
    builder = find_builder("date_translation", data_dir=date_dir)
    with pytest.raises(ValueError, match=r"\['locale', 'source', 'target'\] as `target`"):
        choose_columns(builder, source="locale")
    with pytest.raises(ValueError, match="`source` .*'fr'"):
        choose_columns(builder, source="fr")
    with pytest.raises(ValueError, match="another column than `source`"):
        choose_columns(builder, "source", "source")


def test_held_out_pairs_are_two_percent_and_share_no_source():
    sources = [f"text {i % 500}" for i in range(1000)]  # every source occurs twice
    targets = [str(i) for i in range(1000)]
    rest, held = hold_out(sources, targets)
    assert len(held[0]) == 20 and len(rest[0]) == 980
    assert not set(rest[0]) & set(held[0])
    assert sorted(rest[1] + held[1]) == sorted(targets)
    assert hold_out(sources, targets) == (rest, held)


def test_one_source_alone_cannot_be_held_out():
    with pytest.raises(ValueError, match="at least two distinct source texts"):
        hold_out(["a", "a"], ["b", "c"])
