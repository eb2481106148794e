"""The state of causal attention: keys and values of the positions so far (the KV cache)."""

from keras import ops

from keras_seq.layers._affine import sizes
from keras_seq.layers._room import check_room


def empty_cache(batch_size, num_heads, max_length, key_dim, value_dim, dtype):
    """A cache that has room for `max_length` positions (L) and holds none.

    Returns:
        Dict of `key` (B, H, L, K), `value` (B, H, L, K), `valid` (B, L) boolean, True where a
        position has been written and may be attended to, and `position`, an int32 scalar: how many
        have been written.
    """
    return {
        "key": ops.zeros((batch_size, num_heads, max_length, key_dim), dtype=dtype),
        "value": ops.zeros((batch_size, num_heads, max_length, value_dim), dtype=dtype),
        "valid": ops.zeros((batch_size, max_length), dtype="bool"),
        "position": ops.zeros((), dtype="int32"),
    }


def append(cache, key, value, mask, steps=None):
    """Write the keys and values of T new positions.

    Args:
        cache: what `empty_cache` or an earlier `append` gave, length L.
        key, value: (B, H, T, K), of the new positions.
        mask: (B, T) boolean, False for positions that nobody may attend to, or `None`.
        steps: how many of the T there are, where the later ones are masked padding (see
            `padded_chunk`); `None` for T.

    Returns:
        `(cache, attend)`: the new cache, and (B, 1, T, L) booleans that say which position each
        new one attends to: all valid ones up to itself.

    Raises:
        ValueError: if the cache has too little room (where its position is known).
    """
    position = cache["position"]
    length = cache["key"].shape[2]
    new = key.shape[2]
    check_room(position, new, length)
    if mask is None:
        mask = ops.ones_like(key[:, 0, :, 0], dtype="bool")
    cache = {
        "key": ops.slice_update(cache["key"], indices(0, 0, position, 0), key),
        "value": ops.slice_update(cache["value"], indices(0, 0, position, 0), value),
        "valid": ops.slice_update(cache["valid"], indices(0, position), mask),
        "position": position + (sizes(key)[2] if steps is None else steps),
    }
    attend = ops.expand_dims(cache["valid"], (1, 2))  # (B, 1, 1, L)
    if new != 1:  # a single new position attends to all valid ones, several up to themselves
        limit = ops.expand_dims(position + ops.arange(sizes(key)[2], dtype="int32"), -1)
        upto = ops.arange(sizes(cache["key"])[2], dtype="int32") <= limit  # (T, L)
        attend = ops.logical_and(attend, upto)
    return cache, attend


def indices(*start):
    """Start indices of a slice as one int32 tensor (LiteRT wants them so)."""
    return ops.stack([ops.cast(i, "int32") for i in start])


def check_state(layer, x, cache):
    """Raise unless `cache` is a state of attention, with as many rows as x (B, T, D).

    Fewer would be written into the cache's first rows, and read as if they stood in all of them.
    """
    if not isinstance(cache, dict) or "key" not in cache:
        got = sorted(cache) if isinstance(cache, dict) else type(cache).__name__
        raise ValueError(
            f"`initial_state` of `{layer.name}` ({type(layer).__name__}) must be what its "
            f"`get_initial_state(...)`, a call or a step gave. Received: {got}"
        )
    rows, held = x.shape[0], cache["key"].shape[0]
    if None not in (rows, held) and rows != held:
        raise ValueError(
            f"`x` of `{layer.name}` ({type(layer).__name__}) must have the {held} rows that its "
            f"state was made for. Received: shape {tuple(x.shape)}"
        )
