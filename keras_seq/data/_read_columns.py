"""Columns of a source -> lists and arrays, whole or some rows at a time."""

import itertools

import numpy as np
import tensorflow as tf

from keras_seq.data._pipeline import without_autotuning
from keras_seq.data._splits import pick

_ROWS = 256  # examples read at a time
_UNREADABLE = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.FailedPreconditionError,  # fewer records than the dataset says
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


def finite_rows(source, split, column, rows, errors, dropped):
    """Which series hold numbers alone.

    Args:
        source, errors: as of `read_columns`.
        split, column: their names, for messages.
        rows: list of N arrays.
        dropped: dict of counts, which gets `not_finite`.

    Returns:
        (N,) booleans.

    Raises:
        ValueError: if a row has a NaN or infinity; it names the record.
    """
    finite = np.array([bool(np.isfinite(row).all()) for row in rows], bool)
    if errors == "raise" and not finite.all():
        number = int(np.argmin(finite))
        raise ValueError(
            f"Record {number:,} of split {split!r} of {source.name!r} must have finite numbers in "
            f"column {column!r}. Received: NaN or infinity. Correct it, or pass errors='skip' to "
            "leave out and count such records."
        )
    dropped["not_finite"] = int((~finite).sum())
    return finite


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
    """Reads a split, at most 256 examples at a time.

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
    chosen = without_autotuning(chosen)
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
            texts.append(item.decode("utf-8").removeprefix("\ufeff"))  # the mark of UTF-8 files
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
