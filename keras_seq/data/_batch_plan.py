"""Which rows make up which batch, and the lengths that each batch is padded to."""

import numpy as np


class BatchPlan:
    """The batches of one pass over N rows, for any order of the rows.

    Rows of equal `key` may take each other's place. A pass brings the rows into some order, sorts
    them by key, equal ones in that order, and cuts: batch k has `sizes[k]` rows from `starts[k]`
    on. So the lengths of all batches are known before any order is, and an order costs no more
    than a sort.

    Attributes:
        key: (N,) integers.
        starts, sizes: (K,) integers.
        lengths: (K, C) integers: what each of C columns is padded to.
        padding: fraction of the places of a pass that hold nothing, 0 to 1.
    """

    def __init__(self, key, starts, sizes, lengths, row_lengths):
        self.key = np.asarray(key)
        self.starts = np.asarray(starts, "int64")
        self.sizes = np.asarray(sizes, "int64")
        self.lengths = np.asarray(lengths, "int64").reshape(len(self.starts), row_lengths.shape[1])
        by_key = np.argsort(self.key, kind="stable")
        taken = np.concatenate(
            [by_key[s : s + n] for s, n in zip(self.starts, self.sizes, strict=True)]
            or [np.zeros(0, "int64")]
        )
        places = int((self.sizes[:, None] * self.lengths).sum())
        self.padding = 1 - float(row_lengths[taken].sum()) / places if places else 0.0

    def __len__(self):
        return len(self.starts)

    @property
    def rows(self):
        """The one number of rows of every batch, or `None` where they differ."""
        return _only(self.sizes)

    def length(self, column):
        """The one length of a column in every batch, or `None` where it differs."""
        return _only(self.lengths[:, column])


def _only(numbers):
    return int(numbers[0]) if len(numbers) and np.all(numbers == numbers[0]) else None


def plan_batches(row_lengths, *, batch_size=None, max_tokens=None, shapes=None, drop_last=False):
    """Plan batches of rows of similar length.

    Args:
        row_lengths: (N, C) integers: the length of each of C padded columns.
        batch_size: greatest number of rows in a batch, or `None`.
        max_tokens: greatest number of places in the longest column of a batch, rows times length,
            padding included; or `None`. It must hold the longest row.
        shapes: rising list of C-tuples: a row goes to the first that holds it, and every batch has
            one of these shapes and, with `drop_last`, the number of rows that belongs to it. `None`
            sorts all rows by length and pads each batch to its own longest.
        drop_last: whether batches that lack rows are left out, one a shape at most. Another order
            leaves out other rows.

    Returns:
        A `BatchPlan`.
    """
    row_lengths = np.asarray(row_lengths, "int64")
    longest = row_lengths.max(axis=1, initial=0)
    if shapes is None:
        # By the longest column first: then a batch's number of places grows along the order.
        order = np.lexsort([*row_lengths.T, longest])
        _, key = _ranks(np.column_stack([longest, row_lengths[:, ::-1]]))
        groups = [(order, None)]
    else:
        key = first_shapes(row_lengths, shapes)
        order = np.argsort(key, kind="stable")
        groups = [(order[key[order] == k], shape) for k, shape in enumerate(shapes)]
    starts, sizes, lengths, start = [], [], [], 0
    for rows, shape in groups:
        for size in _cut(longest[rows], batch_size, max_tokens, shape):
            lacks = size < rows_of(shape, batch_size, max_tokens)
            if not (drop_last and lacks):
                starts.append(start)
                sizes.append(size)
                lengths.append(shape or row_lengths[order[start : start + size]].max(axis=0))
            start += size
    return BatchPlan(key, starts, sizes, lengths, row_lengths)


def _ranks(columns):
    return np.unique(columns, axis=0, return_inverse=True)


def rows_of(shape, batch_size, max_tokens):
    """How many rows a full batch of a shape has; of no shape, the greatest number."""
    if max_tokens is None:
        return batch_size
    if shape is None:
        return 0
    rows = max(1, max_tokens // max(max(shape), 1))
    return rows if batch_size is None else min(rows, batch_size)


def _cut(longest, batch_size, max_tokens, shape):
    """Yields the number of rows of one batch after the other.

    Args:
        longest: (N,) integers, the longest column of each row; they rise where `shape` is `None`.
        batch_size, max_tokens, shape: as of `plan_batches`.
    """
    count, start = len(longest), 0
    while start < count:
        if shape is not None or max_tokens is None:
            size = rows_of(shape, batch_size, max_tokens)
        else:
            most = count - start if batch_size is None else min(batch_size, count - start)
            places = np.arange(1, most + 1) * np.maximum(longest[start : start + most], 1)
            size = max(1, int(np.searchsorted(places, max_tokens, side="right")))
        size = min(size, count - start)
        yield size
        start += size


def first_shapes(row_lengths, shapes):
    """Finds the first shape that holds each row.

    Args:
        row_lengths: (N, C) integers.
        shapes: list of C-tuples, rising in each column.

    Returns:
        (N,) integers, indices into `shapes`; `len(shapes)` where none holds the row.
    """
    row_lengths = np.asarray(row_lengths)
    by_column = [
        np.searchsorted([shape[c] for shape in shapes], row_lengths[:, c])
        for c in range(row_lengths.shape[1])
    ]
    return np.max(by_column, axis=0)


def merge_small_shapes(which, shapes, rows):
    """Leaves out shapes that would never fill a training batch.

    Training leaves out incomplete batches, so the rows of a shape with less than a batch of them
    would never be trained on. They join the next larger shape; the largest takes in the one below
    it instead.

    Args:
        which: (N,) integers: the shape of each training row, of `first_shapes`.
        shapes: list of C-tuples, rising.
        rows: function from a shape to the rows of a full batch.

    Returns:
        The shapes that stay, the largest always among them.
    """
    counts = np.bincount(which, minlength=len(shapes))
    kept, waiting = [], 0
    for shape, count in zip(shapes, counts, strict=True):
        waiting += count
        if waiting >= rows(shape):
            kept.append(shape)
            waiting = 0
    if not kept or kept[-1] != shapes[-1]:
        kept[-1:] = shapes[-1:]
    return kept


def choose_shapes(row_lengths, longest, most=8):
    """A few shapes that waste little: each holds the same number of tokens, about.

    Args:
        row_lengths: (N, C) integers.
        longest: C-tuple, the last of the shapes.
        most: how many shapes at most.

    Returns:
        Rising list of C-tuples of multiples of 8, but for the last.
    """
    row_lengths = np.asarray(row_lengths)
    order = np.argsort(row_lengths.max(axis=1), kind="stable")
    tokens = np.cumsum(row_lengths[order].sum(axis=1))
    shapes = []
    for part in range(1, most):
        upto = order[: 1 + np.searchsorted(tokens, tokens[-1] * part / most)]
        # Most of the rows up to here: the few that are long in one column alone go further up.
        shape = np.quantile(row_lengths[upto], 0.99, axis=0)
        shapes.append(
            tuple(min(-(-int(n) // 8) * 8, m) for n, m in zip(shape, longest, strict=True))
        )
    return sorted({*shapes, tuple(longest)})
