"""Picking from a batch, row by row, in operators that every backend and LiteRT have."""

import functools

from keras import ops


def column(x, i):
    """`x[..., i]` for an int tensor i, which a slice would make XLA compile anew for each value."""
    return ops.take(x, i, axis=-1)


def entry(x, index):
    """`x[b, index[b]]` for each row b: (B, V) and (B,) ints give (B,)."""
    flat = ops.arange(ops.shape(x)[0], dtype="int32") * x.shape[1] + index
    return ops.take(ops.reshape(x, (-1,)), flat, axis=0)


def pick(x, index):
    """`x[b, index[b, j]]`: (B, M, ...) and (B, N) int32 give (B, N, ...)."""
    offsets = ops.arange(ops.shape(x)[0], dtype="int32") * x.shape[1]
    flat = ops.reshape(x, (-1, *x.shape[2:]))
    return ops.take(flat, index + ops.expand_dims(offsets, -1), axis=0)


def any_equal(ids, values):
    """Booleans in the shape of `ids`: whether each is one of a list of ints, perhaps empty."""
    if not values:
        return ops.zeros_like(ids, dtype="bool")
    return functools.reduce(ops.logical_or, [ops.equal(ids, value) for value in values])
