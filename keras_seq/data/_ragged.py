"""Rows of different lengths in one array, in memory or on disk."""

import numpy as np
import tensorflow as tf


class Ragged:
    """Rows of different lengths, as one array and where each row lies in it.

    Args:
        values: (M, ...) array; a `np.memmap` stays on disk.
        begins: (N,) integers; or, without `ends`, (N + 1,) integers: row i begins where row i - 1
            ends.
        ends: (N,) integers: row i is `values[begins[i]:ends[i]]`.
    """

    def __init__(self, values, begins, ends=None):
        self.values = values if isinstance(values, np.memmap) else np.asarray(values)
        begins = np.asarray(begins, "int64")
        self.begins, self.ends = (begins[:-1], begins[1:]) if ends is None else (begins, ends)

    @classmethod
    def of(cls, rows):
        """Of a list of arrays (T, ...), or a `tf.RaggedTensor`."""
        if isinstance(rows, tf.RaggedTensor):
            return cls(rows.values.numpy(), rows.row_splits.numpy())
        lengths = [len(row) for row in rows]
        values = np.concatenate([np.asarray(row) for row in rows] or [np.zeros(0, "int32")])
        return cls(values, np.concatenate([[0], np.cumsum(lengths, dtype="int64")]))

    def __len__(self):
        return len(self.begins)

    def __getitem__(self, row):
        return self.values[self.begins[row] : self.ends[row]]

    @property
    def lengths(self):
        return self.ends - self.begins

    def where(self, keep):
        """The rows for which `keep`, (N,) booleans, is True."""
        keep = np.asarray(keep, bool)
        return Ragged(self.values, self.begins[keep], self.ends[keep])

    def shortened(self, longest, keep="first"):
        """The rows, of each the first or the last so many entries at most."""
        if keep == "last":
            return Ragged(self.values, np.maximum(self.begins, self.ends - longest), self.ends)
        return Ragged(self.values, self.begins, np.minimum(self.ends, self.begins + longest))

    def padded(self):
        """Function from row numbers (n,) and a length L to the rows, padded right: (n, L, ...)."""
        take, begins, ends = taker(self.values), tf.constant(self.begins), tf.constant(self.ends)
        last = max(len(self.values) - 1, 0)

        def gather(rows, length, pad=0):
            places = tf.gather(begins, rows)[:, None] + tf.range(length, dtype="int64")
            inside = places < tf.gather(ends, rows)[:, None]
            items = take(tf.minimum(places, last))
            for _ in range(items.shape.rank - 2):
                inside = inside[..., None]
            return tf.where(inside, items, tf.constant(pad, items.dtype))

        return gather


def taker(values):
    """Function from places, int64 of any shape, to the items of an array there.

    What is in memory is part of the pipeline's graph, which tf.data service can send to other
    machines. What is on disk is read by this process.
    """
    if not isinstance(values, np.memmap):
        # An empty table cannot be read from.
        table = tf.constant(
            values if len(values) else np.zeros((1, *values.shape[1:]), values.dtype)
        )
        return lambda places: tf.gather(table, places)

    def take(places):
        items = tf.numpy_function(
            lambda places: np.asarray(values[places]), [places], values.dtype, stateful=False
        )
        return tf.ensure_shape(items, [*places.shape, *values.shape[1:]])

    return take
