"""Anything with examples in it -> its splits, columns, and what is known about them."""

import dataclasses
import os

import tensorflow as tf
import tensorflow_datasets as tfds

from keras_seq.data._load import find_builder, is_folder, prepare
from keras_seq.data._splits import our_splits


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


def listed(path, what):
    """Sorted names of what is in a folder.

    Args:
        path: of the folder.
        what: what it is to hold, for the message.

    Raises:
        ValueError: if it is no folder.
    """
    if not os.path.isdir(path):
        raise ValueError(f"The dataset {path!r} must be a folder of {what}. Received: a file")
    return sorted(os.listdir(path))


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
