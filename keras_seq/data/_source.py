"""Anything with examples in it -> its splits, columns, and what is known about them."""

import dataclasses
import itertools
import os

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_seq.data._load import find_builder, is_folder, prepare
from keras_seq.data._splits import our_splits, pick

_ROWS = 1024  # examples read at a time
_UNREADABLE = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.FailedPreconditionError,  # fewer records than the dataset says
)


@dataclasses.dataclass
class Source:
    """Where examples come from.

    Attributes:
        name: what the user called it.
        splits: dict from `train`, `validation` and `test`, as far as they exist, to a
            `tf.data.Dataset` of dicts.
        spec: dict from column to `tf.TensorSpec`.
        features: dict from column to its TFDS feature; empty where it is no TFDS dataset.
        supervised: `(input column, target column)`, or `()` where nothing says.
        sizes: dict from split to its number of examples, as far as it is known.
        identity: what tells it from another source, or from itself after a change, as JSON takes
            it; `None` for what has no name on this machine.
    """

    name: str
    splits: dict
    spec: dict
    features: dict
    supervised: tuple
    sizes: dict
    identity: object = None

    def column(self, argument, name, default, is_right, what):
        """The column to take for an argument.

        Args:
            argument: name of the argument, for messages.
            name: what the user passed, or `None`.
            default: column to take then, or `None` for the only one that is right.
            is_right: function from a column's spec to whether it can be taken.
            what: what such a column holds, for messages.

        Raises:
            ValueError: if the column does not exist or holds something else, or none or several
                could be taken.
        """
        right = [c for c, spec in self.spec.items() if is_right(spec)]
        if name is None and default is not None and default in right:
            return default
        if name is None and len(right) == 1:
            return right[0]
        if name is None or name not in right:
            got = "none" if name is None else f"{name!r}"
            if name is not None and name in self.spec:
                got += f" with {self.spec[name]}"
            raise ValueError(
                f"`{argument}` must be a column with {what}, of {sorted(right)}. The dataset "
                f"{self.name!r} has the columns {sorted(self.spec)}. Received: {got}"
            )
        return name


def is_text(spec):
    """Whether a column holds one text an example."""
    return spec.dtype == tf.string and spec.shape.rank == 0


def is_number(spec):
    """Whether a column holds one integer an example."""
    return spec.dtype.is_integer and spec.shape.rank == 0


def open_source(dataset, data_dir=None, read_path=None):
    """Opens what a task was given.

    Args:
        dataset: name of a TFDS dataset, with config and version if wanted; the path of a folder or
            file, which the task can read; a `tf.data.Dataset` of dicts or of `(input, target)`;
            or a dict from split name to such datasets.
        data_dir: where TFDS keeps its datasets.
        read_path: function from a path to a dict from split name to datasets of dicts, or `None`
            for the folders that `keras_seq.data.load` reads.

    Returns:
        A `Source`.

    Raises:
        TypeError, ValueError, ConnectionError: as `keras_seq.data.load`.
    """
    features, supervised, sizes, identity = {}, (), {}, None
    if isinstance(dataset, tf.data.Dataset):
        name, splits = "tf.data.Dataset", {"train": dataset}
    elif isinstance(dataset, dict):
        name, splits = f"tf.data.Datasets of {sorted(dataset)}", dataset
    else:
        name = dataset if isinstance(dataset, (str, os.PathLike)) else repr(dataset)
        splits = _of_path(dataset, read_path)
        if splits is not None:
            identity = _files_of(os.path.expanduser(os.fspath(dataset)))
        else:
            builder = find_builder(dataset, data_dir=data_dir)
            if not is_folder(builder):
                prepare(builder, dataset)
            identity = [builder.info.full_name, str(builder.data_dir)]
            if isinstance(builder.info.features, tfds.features.FeaturesDict):
                features = dict(_flat(builder.info.features))
            keys = builder.info.supervised_keys
            supervised = keys if isinstance(keys, tuple) and len(keys) == 2 else ()
            sizes = {s: info.num_examples for s, info in builder.info.splits.items()}
            sizes = our_splits(sizes)
            splits = {s: _as_dataset(builder, s) for s in our_splits(_named(builder)).values()}
    splits = our_splits(splits)
    if "train" not in splits:
        raise ValueError(
            f"The dataset {str(name)!r} must have a split 'train'. Received: {sorted(dataset)}"
            if isinstance(dataset, dict)
            else f"The dataset {str(name)!r} must have a split 'train', and has none."
        )
    by_name = {split: _with_columns(split, d) for split, d in splits.items()}
    spec = _element(by_name["train"])
    if not supervised and isinstance(_element(splits["train"]), tuple):
        supervised = ("input", "target")
    return Source(
        name=os.fspath(name),
        splits=by_name,
        # What is no tensor, such as a dataset inside the dataset, is no column.
        spec={c: spec[c] for c in features or spec if hasattr(spec.get(c), "dtype")},
        features=features,
        supervised=supervised if all(isinstance(key, str) for key in supervised) else (),
        sizes=sizes,
        identity=identity,
    )


def _as_dataset(builder, split):
    try:
        return builder.as_dataset(split=split)
    except NotImplementedError:  # of ArrayRecord files, which are read item by item
        records = builder.as_data_source(split=split)
        spec = builder.info.features.get_tensor_spec()
        return tf.data.Dataset.from_generator(lambda: iter(records), output_signature=spec)


def _files_of(path):
    """Names, sizes and times of a file or of all files of a folder."""
    files = [path]
    if os.path.isdir(path):
        files = sorted(os.path.join(f, name) for f, _, names in os.walk(path) for name in names)
    facts = [os.stat(file) for file in files]
    return [
        [os.path.abspath(file), fact.st_size, fact.st_mtime_ns]
        for file, fact in zip(files, facts, strict=True)
    ]


def _flat(row, prefix=""):
    """Pairs of a name and what is no dict: `{"a": {"b": 1}}` -> `("a/b", 1)`."""
    for name, item in row.items():
        if hasattr(item, "items"):
            yield from _flat(item, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", item


def _named(builder):
    return {name: name for name in builder.info.splits}


def _of_path(dataset, read_path):
    """What a task's own reader makes of a path, or `None` where it is none."""
    if read_path is None or not isinstance(dataset, (str, os.PathLike)):
        return None
    path = os.path.expanduser(os.fspath(dataset))
    registered = isinstance(dataset, str) and dataset in tfds.list_builders(
        with_community_datasets=False
    )
    return read_path(path) if os.path.exists(path) and not registered else None


def _element(dataset):
    return getattr(dataset, "element_spec", None)


def _with_columns(split, dataset):
    """The dataset, its elements dicts of named columns."""
    spec = _element(dataset)
    if isinstance(spec, dict):
        if any(isinstance(inner, dict) for inner in spec.values()):
            return dataset.map(lambda row: dict(_flat(row)))
        return dataset
    if isinstance(spec, tuple) and len(spec) == 2:
        return dataset.map(lambda x, y: {"input": x, "target": y})
    raise TypeError(
        f"The dataset's split {split!r} must be an unbatched tf.data.Dataset of dicts with named "
        f"columns, or of (input, target). Received: {type(dataset).__name__} with elements {spec}"
    )


def read_columns(source, columns, *, errors="raise", texts=()):
    """Reads columns of every split into memory.

    Args:
        source: a `Source`.
        columns: names of columns.
        errors: `"raise"`, or `"skip"`: leave out and count records that cannot be read.
        texts: those of the columns that hold text, which is decoded.

    Returns:
        `(columns, dropped)`: a dict from split to a dict from column to a list of `str` or an
        array (N, ...) (a list of arrays where shapes differ), and a dict from split to the counts
        of what was left out, by reason.

    Raises:
        ValueError: if a split is empty or a record cannot be read; it names split and record.
    """
    check_errors(errors)
    read, dropped = {}, {}
    for split in source.splits:
        dropped[split] = {}
        read[split] = _read(source, split, columns, errors, texts, dropped[split])
        if len(read[split][columns[0]]) == 0:
            raise ValueError(
                f"The split {split!r} of {source.name!r} has no examples"
                + (f" that can be read ({dropped[split]})" if dropped[split] else "")
                + ". Give it some, or leave the split out."
            )
    return read, dropped


def check_errors(errors):
    if errors not in ("raise", "skip"):
        raise ValueError(f"`errors` must be 'raise' or 'skip'. Received: {errors!r}")


def _read(source, split, columns, errors, texts, dropped):
    rows = {name: [] for name in columns}
    for batch in batches_of(source, split, columns, errors, texts, dropped):
        for name in columns:
            rows[name] += batch[name]
    same = _of_one_shape(source, columns)
    return {
        name: np.stack(items) if same and name not in texts and items else items
        for name, items in rows.items()
    }


def _of_one_shape(source, columns):
    return all(source.spec[name].shape.is_fully_defined() for name in columns)


def batches_of(source, split, columns, errors="raise", texts=(), dropped=None):
    """Reads a split, at most 1,024 examples at a time.

    Args:
        source, columns, errors, texts: as of `read_columns`.
        split: name of the split.
        dropped: dict of counts.

    Yields:
        Dicts from column to a list of items.

    Raises:
        ValueError: as `read_columns`.
    """
    dropped = {} if dropped is None else dropped
    chosen = source.splits[split].map(lambda row: {name: row[name] for name in columns})
    number = 0
    for items in _readable(source, split, chosen, errors, dropped):
        keep = np.ones(len(items[columns[0]]), bool)
        for name in texts:
            items[name] = _decoded(source, split, name, items[name], number, errors, keep, dropped)
        number += len(keep)
        yield {name: pick(items[name], keep) for name in columns}


def _readable(source, split, dataset, errors, dropped):
    """Yields dicts from column to a list of items; what cannot be read ends it, or is counted."""
    columns = list(dataset.element_spec)
    if errors == "skip":  # one by one, so that what is lost is what cannot be read
        batches = _batched(_without_errors(source, split, dataset, dropped), columns)
        yield from batches
        return
    same = _of_one_shape(source, columns)
    number = 0
    iterator = iter(dataset.batch(_ROWS) if same else dataset.ragged_batch(_ROWS))
    while True:
        try:
            batch = next(iterator, None)
        except _UNREADABLE as error:
            raise ValueError(
                f"Records {number:,} to {number + _ROWS - 1:,} of split {split!r} of "
                f"{source.name!r} cannot be read: {error.message.splitlines()[0][:200]}. Make the "
                "file again, or pass errors='skip' to leave out and count what cannot be read."
            ) from None
        if batch is None:
            return
        items = {name: _unpacked(batch[name]) for name in columns}
        number += len(items[columns[0]])
        yield items


def _without_errors(source, split, dataset, dropped):
    """Yields the examples that can be read; TensorFlow leaves out the rest of a damaged file."""
    iterator, read, failed, again = iter(dataset), 0, 0, False
    while True:
        try:
            example = next(iterator)
        except StopIteration:
            break
        except _UNREADABLE:
            failed += 1
            if again:  # and no example between
                break
            again = True
            continue
        again = False
        read += 1
        yield example
    if failed:
        dropped["unreadable"] = source.sizes.get(split, read + failed) - read


def _batched(examples, columns):
    while rows := list(itertools.islice(examples, _ROWS)):
        yield {name: [_item(row[name]) for row in rows] for name in columns}


def _item(tensor):
    return tensor.to_tensor().numpy() if isinstance(tensor, tf.RaggedTensor) else tensor.numpy()


def _unpacked(tensor):
    """One item an example: arrays, or bytes."""
    if not isinstance(tensor, tf.RaggedTensor):
        return list(tensor.numpy())
    if tensor.ragged_rank > 1:
        return [row.to_tensor().numpy() for row in tensor]
    values, splits = tensor.values.numpy(), tensor.row_splits.numpy()
    return [values[a:b] for a, b in itertools.pairwise(splits)]


def _decoded(source, split, name, items, number, errors, keep, dropped):
    texts = []
    for i, item in enumerate(items):
        try:
            texts.append(item.decode("utf-8"))
        except UnicodeDecodeError as error:
            if errors == "raise":
                raise ValueError(
                    f"Record {number + i:,} of split {split!r} of {source.name!r} is no UTF-8 in "
                    f"column {name!r}, byte {error.start}: {item[:40]!r}. Convert the data, or "
                    "pass errors='skip' to leave out and count such records."
                ) from None
            texts.append("")
            keep[i] = False
            dropped["not_utf8"] = dropped.get("not_utf8", 0) + 1
    return texts
