import subprocess

import pytest

from keras_seq.export import ExportError
from keras_seq.export._digest import (
    LIST_OF_FOLDER,
    LIST_OF_SAVED_MODEL,
    add_file_digest,
    add_folder_digests,
    add_onnx_digest,
    check_file_digest,
    check_folder_digests,
)
from keras_seq.runtime._metadata import add_metadata, read_metadata


def flip_bit(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_a_flipped_bit_of_a_file_is_found_wherever_it_lies(size, tmp_path):
    path = tmp_path / "m.tflite"
    content = bytes(i % 251 for i in range(size))
    path.write_bytes(content)
    add_file_digest(path)
    check_file_digest(path)
    assert path.read_bytes().startswith(content)
    for position in (*range(0, size, size // 3 or 1), -10):  # the last one in the checksum itself
        flip_bit(path, position)
        with pytest.raises(ExportError, match="is damaged"):
            check_file_digest(path)
        flip_bit(path, position)
    check_file_digest(path)


def test_the_files_that_a_model_carries_are_still_read(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"x" * 200)
    add_metadata(path, {"kind": "model"}, {"words.txt": b"a b"})
    add_file_digest(path)
    check_file_digest(path)
    assert read_metadata(path) == ({"kind": "model"}, {"words.txt": b"a b"})


def test_an_onnx_file_stays_one_and_a_flipped_bit_is_found(tmp_path):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "m.onnx"
    entry = onnx.StringStringEntryProto(key="author", value="somebody")
    model = onnx.ModelProto(ir_version=8, producer_name="a test", metadata_props=[entry])
    path.write_bytes(model.SerializeToString())
    add_onnx_digest(path)
    check_file_digest(path)
    read = onnx.ModelProto.FromString(path.read_bytes())
    assert read.producer_name == "a test" and len(read.metadata_props) == 2
    for position in (3, -100, -10):
        flip_bit(path, position)
        with pytest.raises(ExportError, match="is damaged"):
            check_file_digest(path)
        flip_bit(path, position)


def folder(tmp_path, name=LIST_OF_SAVED_MODEL):
    path = tmp_path / "1"
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"graph")
    (path / "variables" / "variables.data").write_bytes(b"weights")
    add_folder_digests(path, name)
    return path


@pytest.mark.parametrize("listed", [LIST_OF_SAVED_MODEL, LIST_OF_FOLDER])
def test_a_flipped_bit_or_a_missing_file_of_a_folder_is_found(listed, tmp_path):
    path = folder(tmp_path, listed)
    check_folder_digests(path, listed)
    for name in ("saved_model.pb", "variables/variables.data"):
        flip_bit(path / name, 2)
        with pytest.raises(ExportError, match=f"is damaged, in the file '{name}'"):
            check_folder_digests(path, listed)
        flip_bit(path / name, 2)
    (path / "tf_serving_warmup_requests").write_text("added later")
    check_folder_digests(path, listed)
    (path / "saved_model.pb").unlink()
    with pytest.raises(ExportError, match="'saved_model.pb' is missing"):
        check_folder_digests(path, listed)


def test_the_checksums_of_a_folder_are_those_of_sha256sum(tmp_path):
    command = ["sha256sum", "--check", "assets.extra/keras_seq.sha256"]
    assert subprocess.run(command, cwd=folder(tmp_path), capture_output=True).returncode == 0


def test_what_has_no_checksum_is_left_alone(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"x" * 200)
    check_file_digest(path)
    check_folder_digests(tmp_path, LIST_OF_FOLDER)
