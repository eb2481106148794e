"""Attention to the last W positions: a ring that holds them, and blocks of queries with their keys.

A chunk of T new positions follows the W that the ring holds, so all that it may attend to is one
sequence of W + T keys, in which position i of the chunk has index W + i:

    ring, in order     chunk
    0 ......... W - 1  W ......... W + T - 1
"""

from keras import ops

from keras_seq.layers.attention._cache import indices


def ring_step(ring, key, value, mask):
    """Write one position over the oldest one.

    Args:
        ring: a cache (see `empty_cache`) of L slots; position p is in slot p mod L.
        key, value: (B, G, 1, K).
        mask: (B, 1) boolean, or `None`.

    Returns:
        `(ring, attend)`: the new ring, and (B, 1, 1, L) booleans, True where a slot is visible.
    """
    position, length = ring["position"], ring["key"].shape[2]
    slot = position % length
    if mask is None:
        mask = ops.ones_like(key[:, 0, :, 0], dtype="bool")
    ring = {
        "key": ops.slice_update(ring["key"], indices(0, 0, slot, 0), key),
        "value": ops.slice_update(ring["value"], indices(0, 0, slot, 0), value),
        "valid": ops.slice_update(ring["valid"], indices(0, slot), mask),
        "position": position + 1,
    }
    return ring, ops.expand_dims(ring["valid"], (1, 2))


def age(position, length):
    """(1, L) int32: how many steps before `position` each slot of a ring was written."""
    return ops.expand_dims((position - ops.arange(length, dtype="int32")) % length, 0)


def before_chunk(ring):
    """What the ring holds, oldest first: key, value (B, L, G, K) and valid (B, L)."""
    length = ring["key"].shape[2]
    slots = (ring["position"] + ops.arange(length, dtype="int32")) % length
    key, value = (
        ops.transpose(ops.take(ring[name], slots, axis=2), (0, 2, 1, 3))
        for name in ("key", "value")
    )
    return key, value, ops.take(ring["valid"], slots, axis=1)


def nothing_before(key, value, window):
    """The same of an empty ring, for a chunk of `key` and `value` (B, T, G, K)."""
    batch = ops.shape(key)[0]
    zeros = [ops.zeros((batch, window, *x.shape[2:]), dtype=x.dtype) for x in (key, value)]
    return *zeros, ops.zeros((batch, window), dtype="bool")


def after_chunk(ring, sequence, time):
    """The ring after a chunk.

    Args:
        ring: the ring before it, of L slots.
        sequence: key, value (B, L + T, G, K) and valid (B, L + T), as at the top of this file.
        time: T, an int or a scalar tensor; less where the chunk's last positions are padding.
    """
    length, end = ring["key"].shape[2], ring["position"] + time
    # Slot s holds the latest position that is s modulo L.
    latest = time + (ops.arange(length, dtype="int32") - end) % length
    key, value, valid = (ops.take(x, latest, axis=1) for x in sequence)
    return {
        "key": ops.transpose(key, (0, 2, 1, 3)),
        "value": ops.transpose(value, (0, 2, 1, 3)),
        "valid": valid,
        "position": ops.cast(end, "int32"),
    }


def distance_in_chunk(time, length):
    """(T, L + T) int32: how far back each key of the sequence is from each query of the chunk."""
    t = ops.expand_dims(length + ops.arange(time, dtype="int32"), 1)
    return t - ops.arange(length + time, dtype="int32")


def in_blocks(query, sequence, window, offsets=None):
    """Cut a long chunk into blocks of W queries, each with the 2 W keys that it may attend to.

    The queries of block b attend to blocks b and b + 1 of the sequence, whose first block is the
    ring. Blocks become rows of the batch, so that what follows need not know of them.

    Args:
        query: (B, T, H, K).
        sequence: key, value (B, W + T, G, K) and valid (B, W + T).
        window: W.
        offsets: (B, T) int32, how far each query is into its document, or `None`.

    Returns:
        `(query, sequence, offsets)` of shapes (B n, W, ...), (B n, 2 W, ...) and (B n, W), with
        n = ceil(T / W).
    """
    batch, time = ops.shape(query)[:2]
    blocks = (time + window - 1) // window
    padding = blocks * window - time

    def cut(x, start=0):
        x = x[:, start : start + blocks * window]
        # All sizes are given: of an empty batch none could be inferred.
        return ops.reshape(x, (batch * blocks, window, *x.shape[2:]))

    sequence = [_padded(x, padding) for x in sequence]
    pairs = [ops.concatenate([cut(x), cut(x, window)], axis=1) for x in sequence]
    query, offsets = (None if x is None else cut(_padded(x, padding)) for x in (query, offsets))
    return query, pairs, offsets


def from_blocks(y, batch, time):
    """(B n, W, D), the outputs of `in_blocks`' queries, to (B, T, D)."""
    window, features = y.shape[1:]
    blocks = (time + window - 1) // window
    return ops.reshape(y, (batch, blocks * window, features))[:, :time]


def _padded(x, steps):
    if isinstance(steps, int) and steps == 0:
        return x
    zeros = ops.zeros((ops.shape(x)[0], steps, *x.shape[2:]), dtype=x.dtype)
    return ops.concatenate([x, zeros], axis=1)
