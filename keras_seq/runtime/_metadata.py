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
    contents = {FILE: json.dumps(metadata, indent=1).encode(), **(files or {})}
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, _TIME), content, zipfile.ZIP_DEFLATED)


def read_metadata(path):
    """`(metadata, files)` of a LiteRT file, two empty dicts if it has none.

    Raises:
        ValueError: if it has, but they are damaged.
    """
    if not zipfile.is_zipfile(path):
        return {}, {}
    try:
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        return json.loads(files.pop(FILE, b"{}")), files
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"The metadata of {str(path)!r} are damaged ({error}). Export the model again."
        ) from error
