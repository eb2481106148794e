"""What is in an exported file, by whoever wrote it: run in a process of its own."""

import json
import pathlib
import tempfile

from keras_seq.export._process import WORKERS, run_script
from keras_seq.export._target import recognized_target
from keras_seq.export.report import ExportError, ExportReport
from keras_seq.saving._atomic_write import checked_path, size_of

_SCRIPTS = {"LiteRT": "describe_litert.py", "SavedModel": "describe_saved_model.py"}


def describe(path):
    """`ExportReport` of a LiteRT file or SavedModel: nothing is compared.

    Args:
        path: of the file or folder.

    Raises:
        ExportError: if there is none, it is of another format, damaged, or cannot be read.
    """
    path = checked_path(path)
    if not path.exists():
        raise ExportError(f"There is nothing at {str(path)!r}.")
    target = recognized_target(path)
    if target is None or target.format not in _SCRIPTS:
        raise ExportError(f"{str(path)!r} is neither a LiteRT file nor a SavedModel.")
    target.check_digest(path)
    script = WORKERS / _SCRIPTS[target.format]
    with tempfile.TemporaryDirectory() as folder:
        written = pathlib.Path(folder) / "report.json"
        run_script(script, path, written, what=f"read the {target.format}")
        facts = json.loads(written.read_text(encoding="utf-8"))
    return ExportReport(format=target.format, path=str(path), size=size_of(path), **facts)
