"""A checkpoint of a training run: arrays and facts in one file, which is replaced as a whole."""

import json
import os
import zipfile

import numpy as np

FILE_NAME = "checkpoint.npz"
_FACTS = "facts"


def write(folder, arrays, facts):
    """Write a checkpoint to `folder` in place of the one that is there.

    The new file is written under another name, flushed to the disk and renamed, so that a process
    killed at any point leaves either the old checkpoint or the new one.

    Args:
        folder: `pathlib.Path`, made if it does not exist.
        arrays: dict of names to NumPy arrays.
        facts: what `json` can hold.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{FILE_NAME}.{os.getpid()}.tmp"
    encoded = np.frombuffer(json.dumps(facts).encode(), "uint8")
    with open(temporary, "wb") as file:
        np.savez(file, **{_FACTS: encoded}, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, folder / FILE_NAME)


def read(folder):
    """`(arrays, facts)` of the checkpoint in `folder`, or `None` where there is none.

    Raises:
        ValueError: if the file is damaged.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return arrays, json.loads(arrays.pop(_FACTS).tobytes())
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"The checkpoint {path} cannot be read: {error}. It was changed or damaged after it "
            "was written. Remove it to train from the beginning."
        ) from error


def remove_leftovers(folder):
    """Remove what processes killed while they wrote a checkpoint have left."""
    for path in folder.glob(f"{FILE_NAME}.*.tmp"):
        path.unlink(missing_ok=True)
