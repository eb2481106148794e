"""Where the windows of a time series lie, how it is scaled, and what a window holds."""

import itertools
import math

import numpy as np
import tensorflow as tf

from keras_seq.data._splits import ALIASES, choose_held_out, pick


def find_segments(tables, splits, past):
    """Where windows lie, in rows of all tables one after the other.

    Returns:
        `(segments, unused)`: a dict from split to a list of `(first, begin, end)`: the rows from
        `begin` to `end` are forecast, by windows that begin at `first` or later; and how many rows
        no split has.
    """
    found, offset = {}, 0
    for split, table in tables.items():
        bounds = (table.bounds + offset).tolist()
        found[split] = [(a, a, b) for a, b in itertools.pairwise(bounds)]
        offset += len(table.values)
    missing = [split for split in ALIASES if split not in found]
    unused = 0
    if missing and len(found["train"]) == 1:
        ((_, start, end),) = found["train"]
        wanted = ["train", *missing]
        begin = start
        for split, count in zip(wanted, _sizes(end - start, splits, wanted), strict=True):
            found[split] = [(max(start, begin - past), begin, begin + count)]
            begin += count
        found["train"] = [(start, start, found["train"][0][2])]
        unused = end - begin
    elif missing:
        table = tables["train"]
        for split in missing:
            keys = [table.values[a:b].tobytes() for _, a, b in found["train"]]
            held = choose_held_out(keys)
            found[split] = pick(found["train"], held)
            found["train"] = pick(found["train"], [not h for h in held])
    return {split: found[split] for split in ALIASES}, unused


def _sizes(rows, splits, wanted):
    """How many of the rows each of the splits has that are cut out of them."""
    shares = [splits[list(ALIASES).index(split)] for split in wanted]
    if all(isinstance(share, int) for share in shares):
        if sum(shares) > rows:
            raise ValueError(
                f"`splits` must have no more rows than the series, {rows:,}. Received: {splits}"
            )
        return shares
    if len(wanted) < 3:
        shares = [share / sum(shares) for share in shares]
    sizes = [int(rows * share) for share in shares]
    if math.isclose(sum(shares), 1):
        sizes[1] = rows - sum(sizes) + sizes[1]
    return sizes


def find_starts(split, parts, length, stride, bad):
    """The rows where the windows of a split begin, and what was left out."""
    starts = [np.arange(first, end - length + 1, stride) for first, _, end in parts]
    starts = np.concatenate(starts) if starts else np.zeros(0, "int64")
    if len(starts) == 0:
        longest = max((end - first for first, _, end in parts), default=0)
        raise ValueError(
            f"The split {split!r} must have at least `past` + `future` = {length:,} rows in a "
            f"series. Received: {longest:,}. Pass a smaller `past` or `future`, or other `splits`."
        )
    before = np.concatenate([[0], np.cumsum(bad)])
    touches = before[starts + length] > before[starts]
    if touches.all():
        raise ValueError(
            f"The split {split!r} must have a window in which every value is a number. Received: "
            f"{len(starts):,} windows, each with a row that lacks one. Correct the data, or choose "
            "other `columns`."
        )
    return starts[~touches], {"with_missing_values": int(touches.sum())}


def statistics(rows, scale):
    """Mean and standard deviation of each column; 0 and 1 without scaling."""
    mean, std = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
    if scale is None:
        return mean, std
    for i, column in enumerate(rows.T):
        column = column[np.isfinite(column)]
        if len(column):
            mean[i] = column.mean()
            # Rounding alone can give a constant column some deviation.
            std[i] = column.std() if column.min() < column.max() else 1.0
    return mean, std


def filler(scaled, inputs, labels, starts, past, future, every_step):
    columns = tf.constant(np.ascontiguousarray(scaled[:, inputs]))
    same = inputs == labels
    targets = columns if same else tf.constant(np.ascontiguousarray(scaled[:, labels]))
    starts = tf.constant(starts.astype("int64"))
    after = np.arange(past, past + future)
    if every_step:
        after = 1 + np.arange(past)[:, None] + np.arange(future)
        after = after[:, 0] if future == 1 else after
    past_steps, label_steps = tf.constant(np.arange(past)), tf.constant(after)

    def fill(rows, lengths, key):
        start = tf.gather(starts, rows)
        begin = tf.reshape(start, [-1] + [1] * len(label_steps.shape))
        begin = tf.ensure_shape(begin, [start.shape[0]] + [1] * len(label_steps.shape))
        window = tf.gather(columns, start[:, None] + past_steps)
        return window, tf.gather(targets, begin + label_steps)

    return fill
