"""Checksums that artifacts carry: a bit that flips later is found, in whatever it lies.

The tolerance of a comparison, wide where weights are int8, may hide a changed weight.
"""

import hashlib
import re
import zipfile

from keras_seq.export.report import ExportError

_NAME, _HEX = "keras_seq sha256", 64
# A space in a zip comment; in a protocol buffer the tag and length of a value.
_AT_END = re.compile(_NAME.encode() + rb"(?: |\x12@)([0-9a-f]{64})\Z")
# In a folder: what `sha256sum --check` reads. TensorFlow leaves `assets.extra` alone.
LIST_OF_SAVED_MODEL = "assets.extra/keras_seq.sha256"
LIST_OF_FOLDER = "keras_seq.sha256"


def add_file_digest(path):
    """Write the checksum of all before it to the end of a file: as the comment of the zip archive
    behind a model (see `keras_seq.runtime`), where readers that follow offsets, as LiteRT, do not
    look.
    """
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = f"{_NAME} {'0' * _HEX}".encode()
    _fill_digest(path)


def add_onnx_digest(path):
    """The same of an ONNX file: as the last of its metadata. Protocol buffers that follow one
    another are one.
    """
    import onnx

    entry = onnx.StringStringEntryProto(key=_NAME, value="0" * _HEX)
    with open(path, "ab") as file:
        file.write(onnx.ModelProto(metadata_props=[entry]).SerializeToString())
    _fill_digest(path)


def _fill_digest(path):
    size = path.stat().st_size - _HEX
    digest = _sha256(path, size)
    with open(path, "r+b") as file:
        file.seek(size)
        file.write(digest.encode())


def check_file_digest(path):
    """Raise `ExportError` if a file is not what its checksum says; one without is left alone."""
    size = path.stat().st_size - _HEX
    with open(path, "rb") as file:
        file.seek(max(0, size - len(_NAME) - 2))
        found = _AT_END.search(file.read())
    if found and _sha256(path, size) != found[1].decode():
        raise ExportError(f"{str(path)!r} is damaged: {_DAMAGED}")


def add_folder_digests(path, name):
    """Write the checksums of all files of a folder into its file `name`."""
    files = sorted(p for p in path.rglob("*") if p.is_file())
    lines = [f"{_sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in files]
    listed = path / name
    listed.parent.mkdir(exist_ok=True)
    listed.write_text("".join(lines), encoding="utf-8")


def check_folder_digests(path, name):
    """As `check_file_digest` of a folder. Files that were added, say for warm-up, do not matter."""
    listed = path / name
    if not listed.is_file():
        return
    for line in listed.read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        file = path / name
        if not file.is_file():
            raise ExportError(f"{str(path)!r} is damaged: its file {name!r} is missing.")
        if _sha256(file) != digest:
            raise ExportError(f"{str(path)!r} is damaged, in the file {name!r}: {_DAMAGED}")


_DAMAGED = "its bytes are not those that were exported, by the checksum in it. Export it again."


def _sha256(path, size=None):
    """Of a file's first `size` bytes, or of all."""
    digest = hashlib.sha256()
    left = path.stat().st_size if size is None else size
    with open(path, "rb") as file:
        while block := file.read(min(left, 1 << 20)):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()
