"""Folders of images with a table of their captions -> datasets for `captions`."""

import csv
import json
import os

import tensorflow as tf

from keras_seq.data._source import listed
from keras_seq.data._splits import our_splits

_TABLES = ("metadata.csv", "metadata.jsonl", "captions.txt", "captions.csv")
_FILE_COLUMNS = ("file_name", "image", "file")
_TEXT_COLUMNS = ("text", "caption", "captions")
_LAYOUT = (
    f"images and a table of them, {', '.join(_TABLES)}, with the columns file_name (or image) and "
    "text (or caption)"
)


class CaptionFolder:
    """Reader of folders of images and a table of captions, for `open_source`.

    Attributes:
        files: dict from split to a list of paths, one a record, after `read`.
    """

    def __init__(self):
        self.files = {}

    def read(self, path):
        """Reads `path` as the train split, or its folders `train`, `validation` and `test`.

        Returns:
            Dict from split to a `tf.data.Dataset` of `{"image": path, "text": (captions,)}`, one
            for each image, in the order of the table.

        Raises:
            ValueError: if there is no table, or a row has no file, no caption or an unknown image.
        """
        folders = {name: os.path.join(path, name) for name in listed(path, "images")}
        splits = our_splits({n: f for n, f in folders.items() if os.path.isdir(f)})
        datasets = {}
        for split, folder in (splits or {"train": path}).items():
            texts = _captions(folder)
            self.files[split] = list(texts)
            rows = tf.data.Dataset.from_tensor_slices(
                (self.files[split], tf.ragged.constant(list(texts.values()), dtype=tf.string))
            )
            datasets[split] = rows.map(lambda image, text: {"image": image, "text": text})
        return datasets


def _captions(folder):
    """Dict from the path of each image to its captions."""
    path = next((p for p in (os.path.join(folder, n) for n in _TABLES) if os.path.isfile(p)), None)
    if path is None:
        found = sorted(os.listdir(folder))[:5] or "an empty folder"
        raise ValueError(f"The folder {folder!r} must hold {_LAYOUT}. Received: {found}")
    texts = {}
    for number, row in _rows(path):
        file = next((row[name] for name in _FILE_COLUMNS if row.get(name)), None)
        text = next((row[name] for name in _TEXT_COLUMNS if row.get(name)), None)
        if file is None or text is None:
            raise ValueError(
                f"Line {number} of {path!r} must have {_LAYOUT.split('with ')[1]}. Received: {row}"
            )
        image = os.path.join(folder, file)
        if image not in texts and not os.path.isfile(image):
            raise ValueError(
                f"Line {number} of {path!r} must name an image of {folder!r}. Received: {file!r}"
            )
        texts.setdefault(image, []).extend(text if isinstance(text, list) else [text])
    if not texts:
        raise ValueError(f"The table {path!r} must have a row for each caption. Received: none")
    return texts


def _rows(path):
    """Yields `(line, dict)` of a table."""
    with open(path, encoding="utf-8", newline="") as file:
        if not path.endswith(".jsonl"):
            reader = csv.DictReader(file)
            yield from ((reader.line_num, row) for row in reader)
            return
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line) if line.strip() else None
            except ValueError:
                row = line.strip()
            if row is not None and not isinstance(row, dict):
                raise ValueError(
                    f"Line {number} of {path!r} must be a JSON object. Received: {row}"
                )
            if row is not None:
                yield number, row
