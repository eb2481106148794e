"""Masks of attention: which positions may be attended to, and what no weight can hide."""

import math

import keras
from keras import ops

from keras_seq.layers.sequence_layer import implicit_mask, is_mask_of


def checked_mask(layer, name, x, mask, meaning="(B, T)"):
    """`implicit_mask(x, mask)`, as long as `x`: a longer one would mask what is not written yet.

    Args:
        layer: whose call argument it is.
        name: of the argument.
        x: (B, T, ...), what the mask is of.
        mask: (B, T), or `None`.
        meaning: of the shape, for the message.

    Raises:
        ValueError: if the mask has another shape, as far as both are known.
    """
    mask = implicit_mask(x, mask)
    if mask is not None and not is_mask_of(mask, x):
        raise ValueError(
            f"`{name}` of `{layer.name}` ({type(layer).__name__}) must have shape {meaning} = "
            f"{tuple(x.shape[:2])}, one value for each of the positions that are passed with it. "
            f"Received: shape {tuple(mask.shape)}"
        )
    return mask


def masked_softmax(scores, attend=None, nonempty=False):
    """softmax over the last axis, over the positions where `attend` is True.

    Args:
        scores: (..., S) floats; NaN and infinity count only where `attend` is True.
        attend: booleans that broadcast to the scores' shape, True where S may be attended to, or
            `None` for everywhere.
        nonempty: whether the caller knows that every row has something to attend to, which saves
            an operation.

    Returns:
        (..., S) weights that sum to one, or are all zero where nothing may be attended to.
    """
    if attend is not None:
        # The lowest finite value, so that no score of what may be attended to is lower.
        lowest = {"float16": -65504.0}.get(keras.backend.standardize_dtype(scores.dtype), -3e38)
        scores = ops.where(attend, scores, ops.cast(lowest, scores.dtype))
    # Keras warns of a softmax over one value, which is what attention to a single position is.
    alone = scores.shape[-1] == 1
    weights = _weight_of_one(scores) if alone else ops.softmax(scores, axis=-1)
    if attend is None or nonempty:
        return weights
    return ops.where(attend, weights, ops.zeros_like(weights))


def _weight_of_one(scores):
    """The softmax over an axis of length one: 1, or NaN where the score is not finite."""
    one = ops.ones_like(scores)
    return ops.where(_is_finite(scores), one, math.nan * one)


def move_nan_to_key(key, value):
    """Values without NaN and infinity, and NaN keys where there were any.

    A weight of zero does not hide a value that is not finite, for 0 NaN = NaN. A score does hide
    it: `masked_softmax` replaces those that may not be attended to. So a position whose value is
    not finite gets a NaN key, hence NaN scores: whoever attends to it gets NaN, nobody else does.

    Args:
        key: (..., K) floats.
        value: (..., width) floats, the other axes as those of `key`.

    Returns:
        `(key, value)` of the same shapes.
    """
    # One pass: a sum is finite where all terms are, short of terms near the largest number, which
    # in 16 bit is no large one.
    half = keras.backend.standardize_dtype(value.dtype) in ("float16", "bfloat16")
    total = ops.sum(ops.cast(value, "float32") if half else value, axis=-1, keepdims=True)
    finite = _is_finite(total)
    nan = ops.where(finite, ops.cast(0, key.dtype), ops.cast(math.nan, key.dtype))
    return key + nan, ops.where(finite, value, ops.cast(0, value.dtype))


def _is_finite(x):
    """As `ops.isfinite`, which LiteRT does not have."""
    return ops.abs(x) < math.inf
