import os
import pathlib

import pytest

from keras_seq.data import train_tokenizer
from keras_seq.data.tokenizers import _cache, _word

TEXTS = ["to be or not", "to be"]


@pytest.fixture
def trainings(monkeypatch):
    """Counts trainings of word tokenizers."""
    calls, train = [], _word.train

    def counted(texts, **options):
        calls.append(texts)
        return train(texts, **options)

    monkeypatch.setattr(_word, "train", counted)
    return calls


def test_the_same_tokenizer_is_trained_once(trainings, tmp_path):
    first, second = (train_tokenizer(TEXTS, "word", cache=tmp_path) for _ in "ab")
    assert len(trainings) == 1
    assert second.get_vocabulary() == first.get_vocabulary() and second.name != first.name


def test_other_texts_arguments_and_versions_are_other_tokenizers(trainings, tmp_path, monkeypatch):
    for texts in (TEXTS, TEXTS[::-1], ["to be or notto be"], ["to be or no", "tto be"]):
        train_tokenizer(texts, "word", cache=tmp_path)
    for options in ({"vocabulary_size": 7}, {"lowercase": True}, {"add_end": True}):
        train_tokenizer(TEXTS, "word", cache=tmp_path, **options)
    monkeypatch.setattr(_cache, "_version", lambda library: "99")
    train_tokenizer(TEXTS, "word", cache=tmp_path)
    assert len(trainings) == len(os.listdir(tmp_path)) == 8


def test_it_is_kept_in_the_home_of_keras(trainings, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for _ in "ab":
        train_tokenizer(TEXTS, "word")
    (entry,) = (tmp_path / "keras_seq" / "tokenizers").iterdir()
    assert entry.name.startswith("word-") and len(trainings) == 1
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    train_tokenizer(TEXTS, "word")
    assert (tmp_path / "home" / ".keras" / "keras_seq" / "tokenizers" / entry.name).is_dir()


def test_nothing_is_kept_where_that_is_not_wanted_or_not_worth_it(trainings, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for _ in "ab":
        train_tokenizer(TEXTS, "word", cache=False)
    train_tokenizer(TEXTS, "byte")
    train_tokenizer(TEXTS, "codepoint")
    assert len(trainings) == 2 and not os.listdir(tmp_path)


def empty(entry):
    for path in entry.iterdir():
        path.unlink()


def replace_by_a_file(entry):
    empty(entry)
    entry.rmdir()
    entry.write_text("")


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "vocabulary.json").write_text("["),
        lambda entry: (entry / "vocabulary.json").unlink(),
        lambda entry: (entry / "tokenizer.json").write_text('{"format"'),
        lambda entry: (entry / "tokenizer.json").unlink(),
        empty,
        replace_by_a_file,
    ],
)
def test_a_damaged_entry_is_trained_again_and_repaired(damage, trainings, tmp_path):
    vocabulary = train_tokenizer(TEXTS, "word", cache=tmp_path).get_vocabulary()
    (entry,) = tmp_path.iterdir()
    damage(pathlib.Path(entry))
    for _ in "ab":
        assert train_tokenizer(TEXTS, "word", cache=tmp_path).get_vocabulary() == vocabulary
    assert len(trainings) == 2 and list(tmp_path.iterdir()) == [entry]


def test_a_folder_that_cannot_be_written_costs_a_warning_alone(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="could not be kept in .*`cache=`"):
        tokenizer = train_tokenizer(TEXTS, "word", cache=tmp_path / "file")
    assert tokenizer(["to be"]) == [[5, 4]]
