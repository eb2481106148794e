"""Parallel text: which two columns are the source and the target."""

from keras_seq.data._load import check_column


def choose_columns(opened, source=None, target=None):
    """Chooses the source and target columns of a dataset.

    What is not given comes from the dataset's `supervised_keys`, else from the two languages of
    a `tfds.features.Translation` or of a folder of parallel text.

    Args:
        opened: A `Source`.
        source: Name of the source column, or None.
        target: Name of the target column, or None.

    Returns:
        `(source, target)`.

    Raises:
        ValueError: If a column does not exist, both are the same, or nothing tells which to take.
    """
    columns = list(opened.spec)
    for argument, column in (("source", source), ("target", target)):
        if column is not None:
            check_column(argument, column, columns)
    if source is None or target is None:
        defaults = opened.supervised or (tuple(columns) if len(columns) == 2 else ())
        source, target = _complete(defaults, source, target, columns)
    if source == target:
        raise ValueError(
            f"`target` must be another column than `source`, of {sorted(columns)}. "
            f"Received: {target!r} for both"
        )
    return source, target


def _complete(defaults, source, target, columns):
    given = [column for column in (source, target) if column is not None]
    if not defaults or any(column not in defaults for column in given):
        missing = [n for n, c in (("source", source), ("target", target)) if c is None]
        raise ValueError(
            "The dataset does not say which columns to take. Pass one of "
            f"{sorted(columns)} as {' and '.join(f'`{name}`' for name in missing)}."
        )
    first, second = defaults
    if given:  # the other one of the two
        other = second if given[0] == first else first
        return (source, other) if source is not None else (other, target)
    return first, second
