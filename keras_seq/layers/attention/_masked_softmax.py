"""The softmax of attention: over what may be attended to, and zero where that is nothing."""

import keras
from keras import ops


def masked_softmax(scores, attend=None, nonempty=False):
    """softmax over the last axis, over the positions that `attend` marks.

    Args:
        scores: (..., S) floats.
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
    weights = ops.ones_like(scores) if alone else ops.softmax(scores, axis=-1)
    if attend is None or nonempty:
        return weights
    return ops.where(attend, weights, ops.zeros_like(weights))
