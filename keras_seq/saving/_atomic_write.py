"""Artifacts appear whole: they are written to a temporary folder and renamed."""

import contextlib
import os
import pathlib
import shutil
import socket
import tempfile
import zlib

from keras_seq.layers._text import check_encodable


@contextlib.contextmanager
def atomic_write(path, may_replace, error=OSError):
    """Give a path in a temporary folder next to `path`; on success it is renamed to `path`.

    See `keras_seq.export.atomic_write`.

    Args:
        path: of the artifact, a file or a folder.
        may_replace: called with a `pathlib.Path` where something exists already; says whether it is
            an artifact of the same kind.
        error: class of the error where `path` cannot be written.

    Raises:
        TypeError, ValueError: if `path` is no path of a file.
        error: if nothing can be written there, or something else exists there.
    """
    path = checked_path(path)
    with _cannot_write(path, error):
        real = pathlib.Path(os.path.realpath(path))
        real.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(real)
        if os.path.lexists(real) and not may_replace(real):
            raise error(
                f"`path` {str(path)!r} exists and is no artifact of this kind, so it is not "
                "replaced. Choose another path, or remove it yourself."
            )
        prefix = f"{_prefix(real)}{os.getpid()}-"
        folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=real.parent))
    new, old = folder / "new", folder / "old"
    try:
        yield new
        with _cannot_write(path, error):
            if new.is_dir() and real.exists():  # a folder that is not empty cannot be replaced
                os.rename(real, old)
            try:
                os.replace(new, real)
            except OSError:
                if os.path.lexists(old):
                    os.rename(old, real)
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def checked_path(path):
    """`path` as an absolute `pathlib.Path`.

    Raises:
        TypeError, ValueError: if it is no path that a file can have.
    """
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise TypeError(
            f"`path` must be a string or a pathlib.Path. Received: {type(path).__name__}"
        )
    if not text:
        raise ValueError("`path` must name a file or folder. Received an empty string.")
    if "\0" in text:
        raise ValueError(f"`path` must not contain a NUL character. Received: {text!r}")
    check_encodable("path", text)
    return pathlib.Path(text).absolute()


def _prefix(path):
    """Of the temporary folders for `path` made on this machine; short whatever the name."""
    return f".keras_seq_export-{_digest(path.name)}-{_digest(socket.gethostname())}-"


def _digest(text):
    return f"{zlib.crc32(os.fsencode(text)):08x}"


def _remove_stale(path):
    """Remove temporary folders next to `path` of processes that are no longer alive.

    Those for other paths, too, unless they hold the artifact that was there before.
    """
    prefix = _prefix(path)
    anything = f".keras_seq_export-{'?' * 8}-{_digest(socket.gethostname())}-"
    for folder in path.parent.glob(f"{anything}*"):
        process = folder.name[len(prefix) :].partition("-")[0]
        if not process.isdecimal() or _is_alive(int(process)):
            continue
        old = folder / "old"  # killed between the two renames
        if os.path.lexists(old) and not folder.name.startswith(prefix):
            continue  # the next write to its path puts it back
        if os.path.lexists(old) and not os.path.lexists(path):
            os.rename(old, path)
        shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process):
    if os.name == "nt":
        return True  # `os.kill` would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextlib.contextmanager
def _cannot_write(path, error):
    try:
        yield
    except OSError as reason:
        raise error(
            f"Cannot write to `path` {str(path)!r}: {reason.strerror or reason}. Choose a folder "
            "that exists or can be made, and that you may write to."
        ) from reason


def size_of(path):
    """Bytes of a file, or of all files in a folder."""
    path = pathlib.Path(path)
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
