import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import keras_seq.data as data


def test_all_splits_of_a_dataset_come_as_a_dict(date_dir):
    splits = data.load("date_translation", data_dir=date_dir)
    assert set(splits) == {"train", "validation", "test"}
    assert set(splits["test"].element_spec) == {"source", "target", "locale"}


def test_a_split_or_slice_comes_as_a_dataset(date_dir):
    dataset = data.load("date_translation", "test[:3]", data_dir=date_dir)
    assert len(list(dataset)) == 3


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_folder_is_loaded_by_string_or_path(write_folder, kind):
    dataset = data.load(kind(write_folder()), "validation")
    sources, targets = data.pairs(dataset, "de", "en")
    assert sources == ["ein Hund 3 läuft", "ein Hund 7 läuft"]
    assert targets == ["a dog 3 runs", "a dog 7 runs"]


def test_a_missing_split_is_answered_with_those_that_exist(write_folder, date_dir):
    folder = write_folder()
    for name in (folder, "date_translation"):
        with pytest.raises(ValueError, match="train.*validation.*'dev'|'dev'.*train"):
            data.load(name, "dev", data_dir=date_dir)
    with pytest.raises(ValueError, match="whole.*take and skip"):
        data.load(folder, "train[:10]")


def test_an_unknown_dataset_is_answered_with_close_names():
    with pytest.raises(ValueError, match=r"folder.*'date_translaton'.*date_translation"):
        data.load("date_translaton")
    with pytest.raises(TypeError, match="Received: 3 of type int"):
        data.load(3)


def test_a_folder_of_another_layout_is_refused(tmp_path):
    with pytest.raises(ValueError, match="an empty folder"):
        data.load(tmp_path)
    (tmp_path / "README.md").write_text("hello")
    with pytest.raises(ValueError, match=r"<language>.<split>.txt.*README.md"):
        data.load(tmp_path)


def test_files_that_do_not_match_are_refused(write_folder):
    folder = write_folder({"train": (["eins", "zwei"], ["one", "two"])})
    (folder / "de.test.txt").write_text("drei")
    with pytest.raises(ValueError, match=r"no file en.test.txt"):
        data.load(folder)
    (folder / "en.test.txt").write_text("three\nfour")
    with pytest.raises(ValueError, match="do not match line by line"):
        data.load(folder)


def test_a_failed_download_says_what_to_do(monkeypatch, tmp_path):
    def fail(self, *_, **__):
        raise OSError("no route to host")

    mnist = type(tfds.builder("mnist", data_dir=tmp_path))
    monkeypatch.setattr(mnist, "_download_and_prepare", fail)
    with pytest.raises(ConnectionError, match="'mnist'.*no route to host.*data_dir"):
        data.load("mnist", data_dir=tmp_path)


def test_pairs_refuses_columns_that_do_not_exist_or_hold_no_text():
    dataset = tf.data.Dataset.from_tensors({"text": "hi", "label": 1})
    with pytest.raises(ValueError, match=r"`target` .*\['label', 'text'\].*'txt'"):
        data.pairs(dataset, "text", "txt")
    with pytest.raises(ValueError, match=r"`target` .*one text an example.*\['text'\].*'label'"):
        data.pairs(dataset, "text", "label")
    with pytest.raises(TypeError, match="as_supervised"):
        data.pairs(tf.data.Dataset.from_tensors(("hi", 1)), "text", "label")
