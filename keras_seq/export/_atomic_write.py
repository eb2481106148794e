"""`atomic_write` for exports: what it raises is an `ExportError`."""

import contextlib

from keras_seq.export.report import ExportError
from keras_seq.saving import _atomic_write


@contextlib.contextmanager
def atomic_write(path, may_replace):
    """Give a path in a temporary folder next to `path`; on success it is renamed to `path`.

    An artifact of the same kind at `path` is replaced. After an error it is still there, and
    nothing new is left. A symbolic link is followed, as by `open(path, "w")`: what it points to is
    written, and the link stays. Temporary folders that a process left when it was killed are
    removed by the next write to the same folder.

    Args:
        path: of the artifact, a file or a folder.
        may_replace: called with a `pathlib.Path` where something exists already; says whether it is
            an artifact of the same kind.

    Raises:
        TypeError, ValueError: if `path` is no path of a file.
        ExportError: if nothing can be written there, or something else exists there.

    Example:

    ```python
    import pathlib

    import keras_seq

    with keras_seq.export.atomic_write("numbers.txt", may_replace=pathlib.Path.is_file) as path:
        path.write_text("1 2 3")
    assert pathlib.Path("numbers.txt").read_text() == "1 2 3"
    ```
    """
    with _atomic_write.atomic_write(path, may_replace, ExportError) as new:
        yield new
