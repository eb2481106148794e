import json
import os
import pathlib
import zipfile

import keras
import numpy as np
import pytest

from keras_seq.saving._archive import DESCRIPTION, MODEL, _extract, load_archive, save_archive
from tests.saving.letter_tokenizer import LetterTokenizer


def small_model():
    x = keras.Input((4,), name="x")
    return keras.Model(x, keras.layers.Dense(3)(x))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "thing"
    save_archive(
        path, "Thing", {"a": [1, None]}, small_model(), {"tokenizer": LetterTokenizer("xy")}
    )
    return path


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def rewritten(path, new, change):
    """The archive with a changed description."""
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(new, "w") as other:
        for name in archive.namelist():
            data = archive.read(name)
            if name == DESCRIPTION:
                data = json.dumps(change(json.loads(data)))
            other.writestr(name, data)
    return new


def test_what_was_saved_is_loaded(tmp_path):
    model, tokenizer = small_model(), LetterTokenizer("xy", add_end=True)
    tokenizers = {"source": tokenizer, "target": tokenizer, "other": LetterTokenizer("z")}
    save_archive(tmp_path / "thing", "Thing", {"a": 1}, model, tokenizers)
    config, again, loaded = load_archive(tmp_path / "thing", "Thing")
    assert config == {"a": 1}
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert loaded["source"] is loaded["target"] is not loaded["other"]
    assert loaded["source"].get_config() == tokenizer.get_config()
    assert os.listdir(tmp_path) == ["thing"]


def test_the_optimizer_stays_with_the_model_and_out_of_the_file(path, tmp_path):
    x = keras.Input((100,))
    plain = keras.Model(x, keras.layers.Dense(200)(x))
    save_archive(tmp_path / "plain", "Thing", {}, plain, {})
    plain.compile("adam", "mse")
    plain.fit(np.ones((2, 100)), np.ones((2, 200)), verbose=0)
    save_archive(tmp_path / "trained", "Thing", {}, plain, {})
    sizes = [(tmp_path / name).stat().st_size for name in ("plain", "trained")]
    assert sizes[1] < 1.05 * sizes[0]
    assert plain.compiled and int(plain.optimizer.iterations) == 1
    assert not load_archive(tmp_path / "trained", "Thing")[1].compiled


def test_saving_replaces_an_archive_and_nothing_else(path, tmp_path):
    save_archive(path, "Thing", {"a": 2}, small_model(), {})
    assert load_archive(path, "Thing")[0] == {"a": 2}
    other = tmp_path / "model.keras"
    small_model().save(other)
    before = other.read_bytes()
    with pytest.raises(OSError, match="no artifact of this kind"):
        save_archive(other, "Thing", {}, small_model(), {})
    assert other.read_bytes() == before


def test_a_failure_halfway_leaves_the_old_archive(path, tmp_path, monkeypatch):
    before = path.read_bytes()

    def fails(*_):
        raise RuntimeError("halfway")

    monkeypatch.setattr(zipfile.ZipFile, "write", fails)
    with pytest.raises(RuntimeError, match="halfway"):
        save_archive(path, "Thing", {}, small_model(), {})
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


def test_a_model_with_a_python_function_is_refused_before_anything_is_written(tmp_path):
    x = keras.Input((4,))
    inner = keras.Model(x, keras.layers.Lambda(lambda y: y * 2, name="twice")(x))
    model = keras.Model(x, inner(x))
    with pytest.raises(TypeError, match="`twice` is a Lambda layer"):
        save_archive(tmp_path / "thing", "Thing", {}, model, {})
    assert not os.listdir(tmp_path)


def test_a_tokenizer_with_files_of_its_own_is_refused(tmp_path):
    class Foreign:
        def save_assets(self, folder):
            pass

    with pytest.raises(TypeError, match="`tokenizer` cannot be saved: Foreign.*train_tokenizer"):
        save_archive(tmp_path / "thing", "Thing", {}, small_model(), {"tokenizer": Foreign()})
    assert not os.listdir(tmp_path)


def test_other_files_are_refused_in_words(path, tmp_path):
    with pytest.raises(ValueError, match=r"file that `Thing.save` wrote. Received: .*nothing"):
        load_archive(tmp_path / "nothing", "Thing")
    with pytest.raises(ValueError, match="must be a file"):
        load_archive(tmp_path, "Thing")
    text = tmp_path / "text"
    text.write_text("no zip")
    with pytest.raises(ValueError, match="damaged, or no file that `Thing.save` wrote"):
        load_archive(text, "Thing")
    small_model().save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="another zip file"):
        load_archive(tmp_path / "model.keras", "Thing")
    with pytest.raises(ValueError, match="holds a Thing: load it with `Thing.load`, not Other"):
        load_archive(path, "Other")
    later = rewritten(path, tmp_path / "later", lambda d: {**d, "version": 99})
    with pytest.raises(ValueError, match="version 99.*Update"):
        load_archive(later, "Thing")
    odd = rewritten(path, tmp_path / "odd", lambda d: {**d, "format": "odd"})
    with pytest.raises(ValueError, match="another zip file"):
        load_archive(odd, "Thing")
    for change in (lambda d: [d], lambda d: {**d, "config": 3}, lambda d: {"format": d["format"]}):
        with pytest.raises(ValueError, match="damaged"):
            load_archive(rewritten(path, tmp_path / "new", change), "Thing")


def test_a_file_that_lacks_its_model_is_refused(path, tmp_path):
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "new", "w") as other:
        other.writestr(DESCRIPTION, archive.read(DESCRIPTION))
    with pytest.raises(ValueError, match=f"damaged.*{MODEL}"):
        load_archive(tmp_path / "new", "Thing")


def test_damage_anywhere_is_found_or_changes_nothing(path, tmp_path):
    rng = np.random.default_rng(0)
    intact, whole = path.read_bytes(), tmp_path / "whole"
    described = _extract(path, "Thing", whole)
    broken, found = tmp_path / "broken", 0
    tail = len(intact) - 600  # the directory of the zip
    places = [*rng.integers(0, len(intact), 150), *rng.integers(tail, len(intact), 150)]
    for i, place in enumerate(places):
        damaged = bytearray(intact)
        damaged[place] ^= 1 << rng.integers(8)
        broken.write_bytes(damaged if i % 10 else intact[:place])
        folder = tmp_path / f"folder{i}"
        try:
            assert _extract(broken, "Thing", folder) == described
        except ValueError as error:
            found += "Thing" in str(error)
        else:
            assert contents(folder) == contents(whole)
    assert found > 100


def test_names_that_lead_out_of_the_folder_stay_inside(path, tmp_path):
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("tokenizers/../../escaped", "x")
        archive.writestr("/absolute", "x")
    folder = tmp_path / "a" / "b"
    _extract(path, "Thing", folder)
    assert (
        not list(pathlib.Path(tmp_path).glob("escaped")) and not (tmp_path / "a/escaped").exists()
    )
