"""Artifacts are written beside their place and renamed, so that nothing half-written is seen."""

import contextlib
import os
import pathlib
import shutil
import tempfile

from keras_seq.export.report import ExportError


@contextlib.contextmanager
def written_beside(path, check_replaced):
    """Give a path in a temporary folder beside `path`; on success it is renamed to `path`.

    An artifact of the same kind that stood at `path` is replaced. After an error it still stands,
    and nothing new is left.

    Args:
        path: where the artifact is to stand.
        check_replaced: called with `path` if something stands there; says whether it is an
            artifact that may be replaced.

    Raises:
        ExportError: if nothing can be written there, or something else stands there.
    """
    path = pathlib.Path(path).absolute()
    if os.path.lexists(path) and not check_replaced(path):
        raise ExportError(
            f"`path` {str(path)!r} is taken by something that is no such artifact, and is not "
            "replaced. Choose another path, or remove it yourself."
        )
    with _cannot_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    new, old = folder / "new", folder / "old"
    try:
        yield new
        with _cannot_write(path):
            if os.path.lexists(path):
                os.rename(path, old)
            try:
                os.rename(new, path)
            except OSError:
                if os.path.lexists(old):
                    os.rename(old, path)
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _cannot_write(path):
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"Cannot write to `path` {str(path)!r}: {error.strerror or error}. Choose a folder "
            "that exists or can be made, and that you may write to."
        ) from error


def is_file(path):
    """Whether a LiteRT file may replace what stands at `path`."""
    return path.is_file()


def is_saved_model(path):
    """Whether a SavedModel may replace what stands at `path`: another one, or an empty folder."""
    if not path.is_dir() or path.is_symlink():
        return False
    return (path / "saved_model.pb").exists() or not any(path.iterdir())


def size_of(path):
    """Bytes of a file, or of all files in a folder."""
    path = pathlib.Path(path)
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
