"""What a LiteRT file says of itself, in a zip archive behind the model.

TFLite keeps the files that belong to a model so, vocabularies for example: interpreters do not look
behind the model, and any zip program lists what is there.
"""

import json
import zipfile

FILE = "keras_seq.json"
_TIME = (1980, 1, 1, 0, 0, 0)  # the same file whenever it is written


def add_metadata(path, metadata, files=None):
    """Append to a LiteRT file.

    Args:
        path: of the file.
        metadata: dict for JSON.
        files: dict from name to bytes.
    """
    files = files or {}
    # Of contents a zip archive has checksums, of names none.
    described = json.dumps({**metadata, "files": sorted(files)}, indent=1)
    contents = {FILE: described.encode(), **files}
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, _TIME), content, zipfile.ZIP_DEFLATED)


def read_metadata(path):
    """`(metadata, files)` of a LiteRT file, two empty dicts if it has none.

    Raises:
        ValueError: if it has, but they are damaged.
    """
    if not zipfile.is_zipfile(path) and not _was_ours(path):
        return {}, {}
    try:
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        if FILE not in files and not _was_ours(path):
            return {}, {}  # somebody else's
        metadata = json.loads(files.pop(FILE))
        if metadata.pop("files") != sorted(files):
            raise ValueError("files are missing")
        return metadata, files
    except Exception as error:  # a damaged archive fails in many ways
        raise ValueError(
            f"The metadata of {str(path)!r} are damaged ({type(error).__name__}: {error}). Export "
            "the model again."
        ) from error


def _was_ours(path):
    """Whether an archive ended the file: its comment is the checksum that an export writes."""
    with open(path, "rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 100))
        return b"keras_seq sha256 " in file.read()
