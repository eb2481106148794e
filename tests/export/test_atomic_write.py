import os
import pathlib
import subprocess
import sys

import pytest

from keras_seq.export import ExportError, atomic_write, to, verify
from keras_seq.export.targets.saved_model import SavedModel
from keras_seq.saving._atomic_write import _prefix, size_of

is_file, is_saved_model = pathlib.Path.is_file, SavedModel().recognizes


def test_what_is_written_appears_whole_and_replaces_what_was_there(tmp_path):
    path = tmp_path / "deep" / "model.tflite"
    for content in ("first", "second"):
        with atomic_write(path, is_file) as temporary:
            temporary.write_text(content)
            assert not path.exists() or path.read_text() != content
        assert path.read_text() == content
    assert [p.name for p in path.parent.iterdir()] == ["model.tflite"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "name" / "1"
    for name in ("a", "b"):
        with atomic_write(path, is_saved_model) as temporary:
            temporary.mkdir()
            (temporary / "saved_model.pb").write_text(name)
            (temporary / name).write_text(name)
    assert {p.name for p in path.iterdir()} == {"saved_model.pb", "b"}
    assert [p.name for p in path.parent.iterdir()] == ["1"]


def test_what_is_no_artifact_of_the_kind_is_not_replaced(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    for path, kind in (
        (precious, is_file),
        (precious, is_saved_model),
        (precious / "thesis.txt", is_saved_model),
        (tmp_path, is_file),
    ):
        with (
            pytest.raises(ExportError, match="no artifact of this"),
            atomic_write(path, kind),
        ):
            pass
    assert (precious / "thesis.txt").read_text() == "years of work"


def test_after_an_error_the_old_file_remains_and_nothing_new_is_left(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="halfway"), atomic_write(path, is_file) as temporary:
        temporary.write_text("new")
        raise RuntimeError("halfway")
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match="Cannot write"):
        with atomic_write(tmp_path / "file" / "1", is_file):
            pass


@pytest.mark.parametrize(
    "path, error, match",
    [
        ("a\0b.tflite", ValueError, "`path` must not contain a NUL"),
        ("\ud800.tflite", ValueError, "`path` must be text that UTF-8 can encode"),
        ("", ValueError, "`path` must name a file"),
        (b"m.tflite", TypeError, "`path` must be a string or a pathlib.Path. Received: bytes"),
        (None, TypeError, "`path` must be a string"),
    ],
)
def test_what_is_no_path_is_named(path, error, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=match), atomic_write(path, is_file):
        pass
    with pytest.raises(error, match=match):
        verify(path, None)
    with pytest.raises(error, match=match):
        to("litert", None, path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target_exists", [True, False])
def test_a_link_is_followed_and_stays(target_exists, tmp_path):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "1.tflite", tmp_path / "link.tflite"
    link.symlink_to(target)
    if target_exists:
        target.write_text("old")
    with atomic_write(link, is_file) as temporary:
        temporary.write_text("new")
    assert link.is_symlink() and target.read_text() == "new" and not target.is_symlink()
    assert len(list(tmp_path.iterdir())) == 2 and len(list(target.parent.iterdir())) == 1


def test_a_link_to_a_folder_is_followed_and_stays(tmp_path):
    link, folder = tmp_path / "latest", tmp_path / "1"
    folder.mkdir()
    link.symlink_to(folder)
    with atomic_write(link, is_saved_model) as temporary:
        temporary.mkdir()
        (temporary / "saved_model.pb").write_text("new")
    assert link.is_symlink() and (folder / "saved_model.pb").read_text() == "new"


def dead_process():
    """The id of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_what_a_killed_export_left_is_removed_by_the_next_one(tmp_path):
    path = tmp_path / "model.tflite"
    stale = tmp_path / f"{_prefix(path)}{dead_process()}-abc"
    own = tmp_path / f"{_prefix(path)}{os.getpid()}-abc"  # of another thread, say
    other = tmp_path / f"{_prefix(tmp_path / 'other')}{dead_process()}-abc"
    moved = tmp_path / f"{_prefix(tmp_path / 'moved')}{dead_process()}-abc"
    for folder in (stale, own, other, moved):
        folder.mkdir()
        (folder / "new").write_text("half")
    (moved / "old").write_text("what was at `moved` before, and is put back there")
    with atomic_write(path, is_file) as temporary:
        temporary.write_text("new")
    assert {p.name for p in tmp_path.iterdir()} == {"model.tflite", own.name, moved.name}


def test_a_killed_export_leaves_a_folder_that_the_next_one_removes(tmp_path):
    path = tmp_path / "model.tflite"
    code = f"""
import os, pathlib, signal
from keras_seq.export import atomic_write
with atomic_write({str(path)!r}, pathlib.Path.is_file) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode < 0
    assert len(list(tmp_path.iterdir())) == 1 and not path.exists()
    with atomic_write(path, is_file) as temporary:
        temporary.write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == ["model.tflite"]


def test_an_artifact_moved_away_by_a_killed_export_is_put_back(tmp_path):
    path = tmp_path / "1"
    old = tmp_path / f"{_prefix(path)}{dead_process()}-abc" / "old"
    old.mkdir(parents=True)
    (old / "saved_model.pb").write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path, is_saved_model):
        raise RuntimeError
    assert (path / "saved_model.pb").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["1"]


def test_a_name_as_long_as_a_file_system_takes_can_be_written(tmp_path):
    path = tmp_path / ("n" * 255)
    with atomic_write(path, is_file) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_sizes_of_files_and_folders(tmp_path):
    (tmp_path / "a").write_bytes(b"123")
    assert size_of(tmp_path / "a") == size_of(tmp_path) == 3
