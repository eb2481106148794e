import pytest

from keras_seq.data._parallel_text import choose_columns
from keras_seq.data._source import open_source


def test_columns_come_from_supervised_keys_or_the_two_languages(write_folder, date_dir):
    opened = open_source("date_translation", data_dir=date_dir)
    assert choose_columns(opened) == ("source", "target")
    assert choose_columns(opened, source="target") == ("target", "source")
    folder = open_source(write_folder())
    assert choose_columns(folder) == ("de", "en")
    assert choose_columns(folder, target="de") == ("en", "de")


def test_columns_that_cannot_be_told_are_asked_for(date_dir):
    opened = open_source("date_translation", data_dir=date_dir)
    with pytest.raises(ValueError, match=r"\['locale', 'source', 'target'\] as `target`"):
        choose_columns(opened, source="locale")
    with pytest.raises(ValueError, match="`source` .*'fr'"):
        choose_columns(opened, source="fr")
    with pytest.raises(ValueError, match="another column than `source`"):
        choose_columns(opened, "source", "source")
