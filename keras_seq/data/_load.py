"""Datasets by name or from a folder of parallel text, and their columns as Python strings."""

import difflib
import os
import re

import tensorflow as tf
import tensorflow_datasets as tfds

_LAYOUT = (
    "one text a line, in files named <language>.<split>.txt, such as en.train.txt and de.train.txt"
)


def load(name, split=None, data_dir=None):
    """Loads a TensorFlow dataset by name, or a folder of parallel text.

    A folder holds one text a line in files named `<language>.<split>.txt`, the layout of
    `tfds.folder_dataset.TranslateFolder`; its splits cannot be sliced. A bare name that is both
    a registered dataset and a folder means the dataset: write `"./name"` for the folder.

    Args:
        name: Name of a TFDS dataset (`"date_translation"`, `"ted_hrlr_translate/pt_to_en"`), or
            the path of a folder (`str` or `pathlib.Path`).
        split: Name of a split, or for a TFDS dataset anything its `as_dataset` takes
            (`"train[:10%]"`). None means all splits.
        data_dir: Where TFDS keeps its datasets. None means TFDS' own default.

    Returns:
        A `tf.data.Dataset` of the split, or with `split=None` a dict from split name to dataset.

    Raises:
        TypeError: If `name` is neither a string nor a path.
        ValueError: If there is no such dataset, folder or split.
        ConnectionError: If the dataset must be downloaded and cannot be.

    Example:

    ```python
    from keras_seq.data import load

    splits = load("date_translation")
    print(splits.keys())
    ```
    """
    builder = find_builder(name, data_dir=data_dir)
    if not is_folder(builder):
        prepare(builder, name)
    splits = list(builder.info.splits)
    if split is None:
        return {split: builder.as_dataset(split=split) for split in splits}
    _check_split(split, splits, name, is_folder(builder))
    return builder.as_dataset(split=split)


def pairs(dataset, source, target):
    """Reads two text columns of a dataset into memory.

    Args:
        dataset: An unbatched `tf.data.Dataset` of dicts, such as `load` returns.
        source: Name of the first column.
        target: Name of the second column.

    Returns:
        Two lists of `str` of the same length: the sources and the targets.

    Raises:
        TypeError: If the elements of the dataset are not dicts.
        ValueError: If a column does not exist or does not hold one text an example.

    Example:

    ```python
    from keras_seq.data import load, pairs

    sources, targets = pairs(load("date_translation", split="test"), "source", "target")
    print(sources[0], "->", targets[0])
    ```
    """
    spec = getattr(dataset, "element_spec", None)
    if not isinstance(spec, dict):
        raise TypeError(
            "`dataset` must be a tf.data.Dataset of dicts with named columns. Received: "
            f"{type(dataset).__name__} with elements {spec}. Load it without as_supervised."
        )
    for argument, column in (("source", source), ("target", target)):
        check_column(argument, column, spec)
        if spec[column].dtype != tf.string or spec[column].shape.rank != 0:
            text = [c for c, s in spec.items() if getattr(s, "dtype", None) == tf.string]
            raise ValueError(
                f"`{argument}` must be a column with one text an example, of {text}. "
                f"Received: {column!r} with {spec[column]}"
            )
    columns = ([], [])
    batches = dataset.map(lambda row: (row[source], row[target])).batch(1024)
    for batch in batches.as_numpy_iterator():
        for column, texts in zip(columns, batch, strict=True):
            column.extend(text.decode("utf-8") for text in texts)
    return columns


def check_column(argument, column, columns):
    """Refuses a column that does not exist.

    Args:
        argument: Name of the argument, for the message.
        column: The wanted column.
        columns: The columns that exist.

    Raises:
        ValueError: If `column` is not among `columns`.
    """
    if column not in columns:
        raise ValueError(
            f"`{argument}` must be one of the columns {sorted(columns)}. Received: {column!r}"
        )


def find_builder(name, data_dir=None):
    """Finds the TFDS builder of a dataset name or folder; prepares nothing.

    Args:
        name: As for `load`.
        data_dir: As for `load`.

    Returns:
        A `tfds.core.DatasetBuilder`; see `is_folder`.

    Raises:
        TypeError: If `name` is neither a string nor a path.
        ValueError: If there is no such dataset or folder, or the folder has another layout.
    """
    if not isinstance(name, (str, os.PathLike)):
        raise TypeError(
            "The dataset must be the name of a TFDS dataset or the path of a folder. Received: "
            f"{name!r} of type {type(name).__name__}"
        )
    path = os.path.expanduser(os.fspath(name))
    registered = tfds.list_builders(with_community_datasets=False)
    if os.path.isdir(path) and not (isinstance(name, str) and name in registered):
        return _folder_builder(path)
    if not isinstance(name, str) or not name:
        raise ValueError(
            "The dataset must be the name of a TFDS dataset or the path of an existing folder. "
            f"Received: {name!r}"
        )
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        close = difflib.get_close_matches(name.split("/")[0], registered, n=5)
        hint = f". Close names: {', '.join(close)}" if close else ""
        raise ValueError(
            "The dataset must be a name of tfds.list_builders() or the path of an existing folder "
            f"with {_LAYOUT}. Received: {name!r}{hint}"
        ) from None  # the original lists all of the hundreds of names
    except (ValueError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        if reason.startswith("Parsing builder name"):  # then comes a lecture about its syntax
            raise ValueError(
                f"The dataset's folder {path!r} does not exist (seen from {os.getcwd()!r}), and "
                f"{name!r} is no name of a TFDS dataset, `name`, `name/config` or "
                "`name/config:1.0.0`. Correct the path or the name."
            ) from None
        raise ValueError(
            f"The dataset {name!r} does not exist in this form: {reason} Leave config and version "
            "out for the default."
        ) from None


def is_folder(builder):
    """Whether a builder of `find_builder` reads a folder of parallel text.

    Args:
        builder: A `tfds.core.DatasetBuilder`.

    Returns:
        True for a folder, False for a TFDS dataset.
    """
    return isinstance(builder, tfds.folder_dataset.TranslateFolder)


def _folder_builder(path):
    names = sorted(os.listdir(path))
    others = [n for n in names if not re.fullmatch(r"[^.]+\.[^.]+\.txt", n)]
    if others or not names:
        found = f"{others[:5]}" if others else "an empty folder"
        raise ValueError(
            f"The dataset's folder {path!r} must hold {_LAYOUT}, and nothing else. "
            f"Received: {found}"
        )
    try:
        builder = tfds.folder_dataset.TranslateFolder(path)
    except ValueError as error:
        raise ValueError(
            f"The files of the dataset's folder {path!r} do not match line by line: {error}."
        ) from error
    languages = sorted({n.split(".")[0] for n in names})
    for split in builder.info.splits:
        missing = [c for c in languages if f"{c}.{split}.txt" not in names]
        if missing:
            raise ValueError(
                f"The dataset's folder {path!r} has no file {missing[0]}.{split}.txt. Every split "
                f"needs one for each of {languages}."
            )
    return builder


def prepare(builder, name):
    try:
        builder.download_and_prepare()
    except OSError as error:  # what requests raises is an OSError too
        raise ConnectionError(
            f"The dataset {name!r} is not in {builder.data_dir} and could not be downloaded or "
            f"written there ({type(error).__name__}: {error}). Connect to the network, pass the "
            "`data_dir` that holds it, or a folder of parallel text."
        ) from error
    except tfds.download.DownloadError as error:
        raise ConnectionError(
            f"The dataset {name!r} could not be downloaded: {error}. Pass the `data_dir` that "
            "holds it, or a folder of parallel text."
        ) from error


def _check_split(split, splits, name, folder):
    if not isinstance(split, str):
        return  # a list or an instruction: TFDS checks it
    base = re.split(r"[\[+]", split)[0].strip()
    if folder and split not in splits and base in splits:
        raise ValueError(
            f"`split` of a folder must be one of {splits}, whole. Received: {split!r} of "
            f"{os.fspath(name)!r}. Load {base!r} and use take and skip."
        )
    if base not in splits and (folder or base != "all"):
        raise ValueError(
            f"`split` must be one of {splits}, the splits of {os.fspath(name)!r}. "
            f"Received: {split!r}"
        )
