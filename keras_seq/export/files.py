"""Artifacts are written beside their place and renamed, so that nothing half-written is seen."""

import contextlib
import os
import pathlib
import shutil
import tempfile

from keras_seq.export.report import ExportError


@contextlib.contextmanager
def written_beside(path):
    """Give a path in a temporary folder beside `path`; on success it is renamed to `path`.

    Whatever stood at `path` is replaced. After an exception nothing new is left.

    Raises:
        ExportError: if nothing can be written there.
    """
    path = pathlib.Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise ExportError(
            f"Cannot write to `path` {str(path)!r}: {error.strerror or error}. Choose a folder "
            "that exists or can be made, and that you may write to."
        ) from error
    try:
        temporary = pathlib.Path(folder) / path.name
        yield temporary
        if path.exists():
            os.rename(path, pathlib.Path(folder) / "replaced")
        os.rename(temporary, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def size_of(path):
    """Bytes of a file, or of all files in a folder."""
    path = pathlib.Path(path)
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
