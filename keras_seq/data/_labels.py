"""Labels of a dataset -> class numbers, and the names of the classes."""

import numpy as np
import tensorflow_datasets as tfds


def class_numbers(source, column, labels, errors, dropped):
    """Numbers the classes.

    Names of classes are numbered in alphabetical order of those in the train split.

    Args:
        source: a `Source`.
        column: name of the column with the labels, for its feature and for messages.
        labels: dict from split to a list or array of N labels: ints, `str`, `bytes`, or arrays of
            these.
        errors: `"raise"`, or `"skip"` to mark what is out of range.
        dropped: dict from split to counts, which get `unknown_label`.

    Returns:
        `(numbers, keep, names)`: dicts from split to a list of int64 scalars or arrays and to (N,)
        booleans, False where a label is no class; and the list of the names.

    Raises:
        ValueError: if a label is no class; it names split and record.
    """
    feature = source.features.get(column)
    feature = getattr(feature, "feature", feature)  # of the items of a sequence
    as_names = _are_names(labels["train"])
    if isinstance(feature, tfds.features.ClassLabel):
        names = list(feature.names)
    elif as_names:
        found = {_text(item) for items in labels["train"] for item in np.ravel(items)}
        names = sorted(found)
    else:
        highest = max(
            (int(np.max(items)) for items in labels["train"] if np.size(items)), default=0
        )
        names = [str(i) for i in range(highest + 1)]
    number_of = {name: i for i, name in enumerate(names)}
    numbers, keep = {}, {}
    for split, rows in labels.items():
        numbers[split], keep[split] = [], np.ones(len(rows), bool)
        for i, items in enumerate(rows):
            if as_names:
                row = np.array([number_of.get(_text(t), -1) for t in np.ravel(items)], "int64")
                row = row.reshape(np.shape(items))
            else:
                row = np.asarray(items).astype("int64")
            numbers[split].append(row)
            wrong = (row < 0) | (row >= len(names))
            if not np.any(wrong):
                continue
            if errors == "raise":
                label = _text(np.asarray(items)[wrong].ravel()[0])
                raise ValueError(
                    f"Record {i:,} of split {split!r} of {source.name!r} has the label {label!r} "
                    f"in column {column!r}, which is none of the {len(names)} classes "
                    f"{names[:10]}{' ...' if len(names) > 10 else ''} of the train split. Correct "
                    "it, or pass errors='skip' to leave out and count such records."
                )
            keep[split][i] = False
        dropped[split]["unknown_label"] = int((~keep[split]).sum())
    return numbers, keep, names


def _are_names(rows):
    first = next((np.ravel(items)[0] for items in rows if np.size(items)), 0)
    return isinstance(first, (str, bytes))


def _text(item):
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)


def is_label(spec):
    """Whether a column holds one class an example, a number or a name."""
    return spec.shape.rank == 0 and (spec.dtype.is_integer or spec.dtype.name in ("string", "bool"))


def facts_of_classes(data):
    """Lines of the summary of a task whose labels are classes: vocabulary, classes, lengths."""
    names = data.class_names
    shown = ", ".join(names[:10]) + (" ..." if len(names) > 10 else "")
    facts = [
        ("classes", f"{len(names):,}: {shown}"),
        ("lengths", f"{data.sequence_length:,} at most"),
    ]
    if data.vocabulary_size is not None:
        facts.insert(0, ("vocabulary", f"{data.vocabulary_size:,}"))
    return facts
