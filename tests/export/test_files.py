import pytest

from keras_seq.export import ExportError
from keras_seq.export.files import size_of, written_beside


def test_what_is_written_appears_whole_and_replaces_what_was_there(tmp_path):
    path = tmp_path / "deep" / "model.tflite"
    for content in ("first", "second"):
        with written_beside(path) as temporary:
            temporary.write_text(content)
            assert not path.exists() or path.read_text() != content
        assert path.read_text() == content
    assert [p.name for p in path.parent.iterdir()] == ["model.tflite"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "name" / "1"
    for name in ("a", "b"):
        with written_beside(path) as temporary:
            temporary.mkdir()
            (temporary / name).write_text(name)
    assert [p.name for p in path.iterdir()] == ["b"]


def test_after_an_error_the_old_file_stands_and_nothing_new_is_left(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="halfway"), written_beside(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError("halfway")
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match="Cannot write"), written_beside(tmp_path / "file" / "1"):
        pass


def test_sizes_of_files_and_folders(tmp_path):
    (tmp_path / "a").write_bytes(b"123")
    assert size_of(tmp_path / "a") == size_of(tmp_path) == 3
