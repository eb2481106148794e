import pytest

from keras_seq.export import ExportError
from keras_seq.export._files import is_file, is_saved_model, size_of, written_beside


def test_what_is_written_appears_whole_and_replaces_what_was_there(tmp_path):
    path = tmp_path / "deep" / "model.tflite"
    for content in ("first", "second"):
        with written_beside(path, is_file) as temporary:
            temporary.write_text(content)
            assert not path.exists() or path.read_text() != content
        assert path.read_text() == content
    assert [p.name for p in path.parent.iterdir()] == ["model.tflite"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "name" / "1"
    for name in ("a", "b"):
        with written_beside(path, is_saved_model) as temporary:
            temporary.mkdir()
            (temporary / "saved_model.pb").write_text(name)
            (temporary / name).write_text(name)
    assert {p.name for p in path.iterdir()} == {"saved_model.pb", "b"}
    assert [p.name for p in path.parent.iterdir()] == ["1"]


def test_what_is_no_artifact_of_the_kind_is_not_replaced(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path, kind in (
        (precious, is_file),
        (precious, is_saved_model),
        (precious / "thesis.txt", is_saved_model),
        (tmp_path / "link", is_file),
        (tmp_path, is_file),
    ):
        with pytest.raises(ExportError, match="is taken"), written_beside(path, kind):
            pass
    assert (precious / "thesis.txt").read_text() == "years of work"


def test_after_an_error_the_old_file_stands_and_nothing_new_is_left(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="halfway"), written_beside(path, is_file) as temporary:
        temporary.write_text("new")
        raise RuntimeError("halfway")
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match="Cannot write"):
        with written_beside(tmp_path / "file" / "1", is_file):
            pass


def test_sizes_of_files_and_folders(tmp_path):
    (tmp_path / "a").write_bytes(b"123")
    assert size_of(tmp_path / "a") == size_of(tmp_path) == 3
