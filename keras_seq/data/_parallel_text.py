"""Parallel text: which columns, which splits, and what is held out where a split is missing."""

import hashlib

import tensorflow_datasets as tfds

from keras_seq.data._load import check_column, is_folder, load, pairs

# What people call the three splits; the first is ours.
_SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
HELD_OUT_FRACTION, HELD_OUT_LIMIT = 0.02, 2_000


def choose_columns(builder, source=None, target=None):
    """Chooses the source and target columns of a dataset.

    What is not given comes from the builder's `supervised_keys`, else from the two languages of
    a `tfds.features.Translation` or of a folder of parallel text.

    Args:
        builder: A `tfds.core.DatasetBuilder`.
        source: Name of the source column, or None.
        target: Name of the target column, or None.

    Returns:
        `(source, target)`.

    Raises:
        ValueError: If a column does not exist, both are the same, or nothing tells which to take.
    """
    features = builder.info.features
    columns = list(features) if isinstance(features, tfds.features.FeaturesDict) else []
    for argument, column in (("source", source), ("target", target)):
        if column is not None:
            check_column(argument, column, columns)
    if source is None or target is None:
        source, target = _complete(_default_columns(builder, columns), source, target, columns)
    if source == target:
        raise ValueError(
            f"`target` must be another column than `source`, of {sorted(columns)}. "
            f"Received: {target!r} for both"
        )
    return source, target


def _default_columns(builder, columns):
    keys = builder.info.supervised_keys
    if isinstance(keys, tuple) and len(keys) == 2 and all(key in columns for key in keys):
        return keys
    if is_folder(builder) and len(columns) == 2:
        return tuple(columns)
    languages = getattr(builder.info.features, "languages", ())
    return tuple(languages) if len(languages) == 2 else ()


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


def read_splits(name, columns, data_dir=None, train_examples=None):
    """Reads the pairs of train, validation and test, without those with an empty side.

    `valid`, `val` and `dev` count as validation. Where validation or test is missing, 2 % of the
    train pairs, at most 2,000, become it: which ones depends on their source texts alone, so
    they are the same every time, and equal sources stay together.

    Args:
        name: Dataset name or folder, as for `keras_seq.data.load`.
        columns: `(source, target)`.
        data_dir: Where TFDS keeps its datasets.
        train_examples: Keep the first so many train pairs only (after holding out).

    Returns:
        `(texts, empty)`: a dict from split name to `(sources, targets)`, two lists of `str`, and
        a dict from split name to the number of pairs left out for an empty side.

    Raises:
        ValueError: If there is no train split, or it is too small to hold pairs out.
    """
    datasets = load(name, data_dir=data_dir)
    texts, empty = {}, {}
    for split, aliases in _SPLIT_NAMES.items():
        found = next((alias for alias in aliases if alias in datasets), None)
        if found is not None:
            texts[split], empty[split] = _without_empty(*pairs(datasets[found], *columns))
    if not texts.get("train", ((), ()))[0]:
        raise ValueError(
            f"The dataset {str(name)!r} must have a split 'train' with pairs in the columns "
            f"{columns}. Received: splits {sorted(datasets)}"
        )
    for split in ("validation", "test"):
        if split not in texts:
            texts["train"], texts[split] = hold_out(*texts["train"])
            empty[split] = 0
    if train_examples is not None:
        texts["train"] = tuple(column[:train_examples] for column in texts["train"])
    return texts, empty


def _without_empty(sources, targets):
    kept = [(s, t) for s, t in zip(sources, targets, strict=True) if s.strip() and t.strip()]
    return ([s for s, _ in kept], [t for _, t in kept]), len(sources) - len(kept)


def hold_out(sources, targets):
    """Splits pairs into those to train on and those held out, by a hash of the source.

    Args:
        sources: List of `str`.
        targets: List of `str`, as many.

    Returns:
        `((sources, targets), (sources, targets))`: the rest and the held out. No source occurs
        in both.

    Raises:
        ValueError: If there are fewer than two distinct sources.
    """
    wanted = min(HELD_OUT_LIMIT, max(1, round(HELD_OUT_FRACTION * len(sources))))
    counts = {}
    for source in sources:
        counts[source] = counts.get(source, 0) + 1
    if len(counts) < 2:
        raise ValueError(
            "The dataset must have at least two distinct source texts in 'train', to hold one out "
            f"for the missing split. Received: {len(counts)}. Add a validation and a test split."
        )

    def order(source):
        return hashlib.blake2b(source.encode("utf-8"), digest_size=16).digest()

    held = set()
    for source in sorted(counts, key=order)[:-1]:  # something must be left to train on
        if counts[source] <= wanted:
            held.add(source)
            wanted -= counts[source]
        if wanted == 0:
            break
    parts = {True: ([], []), False: ([], [])}
    for source, target in zip(sources, targets, strict=True):
        part = parts[source in held]
        part[0].append(source)
        part[1].append(target)
    return parts[False], parts[True]
