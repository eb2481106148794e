import json
import os
import pathlib

import keras
import pytest

from keras_seq.data import load_tokenizer, train_tokenizer
from tests.data.tokenizers.conftest import TEXTS, trained


def files(folder):
    return {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}


def unnamed(tokenizer):
    return {key: value for key, value in tokenizer.get_config().items() if key != "name"}


@pytest.mark.parametrize("options", [{}, {"add_end": True, "lowercase": True}])
def test_the_loaded_tokenizer_is_the_saved_one(kind, options, tmp_path):
    tokenizer = trained(kind, **options)
    tokenizer.save(tmp_path / "some" / "folder")
    again = load_tokenizer(tmp_path / "some" / "folder")
    unseen = [*TEXTS, "unseen Ünseen 못 본 글 🦊"]
    assert type(again) is type(tokenizer) and again.kind == kind
    assert unnamed(again) == unnamed(tokenizer)
    assert again(unseen) == tokenizer(unseen)
    assert again.detokenize(again(unseen)) == tokenizer.detokenize(tokenizer(unseen))
    assert os.listdir(tmp_path / "some") == ["folder"]


def test_the_same_texts_give_the_same_bytes(kind, tmp_path):
    for lowercase in (False, True):
        for name in "ab":
            tokenizer = train_tokenizer(TEXTS, kind, 200_000, lowercase, cache=False)
            tokenizer.save(tmp_path / name)
        assert files(tmp_path / "a") == files(tmp_path / "b")


def test_it_survives_in_a_config_and_in_a_keras_file(kind, tmp_path):
    tokenizer = trained(kind, add_end=True)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(tokenizer)))
    assert keras.saving.deserialize_keras_object(config)(TEXTS) == tokenizer(TEXTS)
    model = keras.Sequential([keras.Input((), dtype="string"), tokenizer])
    model.save(tmp_path / "tokenizer.keras")
    again = keras.saving.load_model(tmp_path / "tokenizer.keras").layers[-1]
    assert again(TEXTS) == tokenizer(TEXTS) and again.get_config() == tokenizer.get_config()


def test_the_folder_can_be_read(tmp_path):
    train_tokenizer(["만 글"], "word").save(tmp_path / "word")
    found = files(tmp_path / "word")
    assert json.loads(found["vocabulary.json"]) == ["<pad>", "<unk>", "<s>", "</s>", "글", "만"]
    assert "만" in found["vocabulary.json"].decode()
    assert json.loads(found["tokenizer.json"])["settings"] == {"lowercase": False, "add_end": False}


def test_saving_again_replaces_a_tokenizer_and_nothing_else(tmp_path):
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    trained("subword").save(folder)  # an empty folder is free
    trained("word").save(folder)
    assert set(files(folder)) == {"tokenizer.json", "vocabulary.json"}
    assert load_tokenizer(folder).kind == "word"
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="`path` .*file', a file"):
        trained("word").save(tmp_path / "file")
    with pytest.raises(ValueError, match="`path` .*a folder with something else in it: 'file'"):
        trained("word").save(tmp_path)
    (folder / "model.keras").write_text("mine")
    with pytest.raises(ValueError, match="with something else in it: 'model.keras'"):
        trained("word").save(folder)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_tokenizer_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    trained("byte").save(tmp_path / "tokenizer")
    word = trained("word")
    monkeypatch.setattr(type(word), "save_assets", lambda self, path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        word.save(tmp_path / "tokenizer")
    assert load_tokenizer(tmp_path / "tokenizer").kind == "byte"
    assert os.listdir(tmp_path) == ["tokenizer"]


def change(**entries):
    def damage(folder):
        description = json.loads((folder / "tokenizer.json").read_text())
        (folder / "tokenizer.json").write_text(json.dumps({**description, **entries}))

    return damage


def append(name, text):
    return lambda folder: (folder / name).write_text((folder / name).read_text() + text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "a folder without tokenizer.json"),
        (lambda folder: (folder / "vocabulary.json").unlink(), "'vocabulary.json', which it lacks"),
        (append("vocabulary.json", " "), "its checksum differs"),
        (append("tokenizer.json", "}"), "is damaged"),
        (lambda folder: (folder / "tokenizer.json").write_bytes(b"\xff{}"), "is damaged"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "is damaged"),
        (lambda folder: (folder / "tokenizer.json").write_text("[]"), "is damaged"),
        (change(format="another"), "no tokenizer's: its format is 'another'"),
        (change(version=2), "has version 2, and this keras_seq reads up to 1"),
        (change(kind="os"), "one of the kinds .*Received: 'os'"),
        (change(kind=["word"]), "one of the kinds"),
        (change(settings={"lowercase": True}), r"with the settings \['add_end', 'lowercase'\]"),
        (change(files={}), "its checksum differs"),
    ],
)
def test_a_damaged_folder_is_refused(damage, message, tmp_path):
    trained("word").save(tmp_path / "tokenizer")
    damage(tmp_path / "tokenizer")
    with pytest.raises(ValueError, match=message):
        load_tokenizer(tmp_path / "tokenizer")


def test_what_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`path` .*nowhere', which does not exist"):
        load_tokenizer(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="`path` .*file', a file"):
        load_tokenizer(tmp_path / "file")
