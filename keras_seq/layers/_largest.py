"""The largest number along the last axis, and where it is."""

from keras import ops


def largest(x):
    """`(ids, values)` of the largest along the last axis, of several the first.

    Keras' argmax compares bits of floats on TensorFlow, for which LiteRT has no operator.

    Args:
        x: (..., V).

    Returns:
        (...) int32 and (...) of x's dtype.
    """
    values = ops.max(x, axis=-1, keepdims=True)
    ids = ops.arange(x.shape[-1], dtype="int32")
    ids = ops.min(ops.where(ops.less(x, values), x.shape[-1], ids), axis=-1)
    return ids, ops.squeeze(values, -1)
