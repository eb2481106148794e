"""Matrix products of a batch with a context that has one row for all of it."""

from keras import ops

from keras_seq.layers._affine import sizes


def batch_product(a, b):
    """`a b`: (B, T, I) times (B, I, J), or (B, H, T, I) times (B, H, I, J). b may have one row.

    A product that broadcasts over the batch gives wrong numbers, or crashes, in oneDNN of
    TensorFlow 2.21 outside XLA. So one row of b is multiplied with the rows of a one after another
    on the axis of time, which is one product and copies nothing of b.
    """
    if b.shape[0] != 1 or a.shape[0] == 1:
        return ops.matmul(a, b)
    batch, time, inner = sizes(a)[0], sizes(a)[-2], sizes(a)[-1]
    if len(a.shape) == 3:
        y = ops.matmul(ops.reshape(a, (1, batch * time, inner)), b)
        return ops.reshape(y, (batch, time, sizes(b)[-1]))
    heads = a.shape[1]
    a = ops.reshape(ops.transpose(a, (1, 0, 2, 3)), (1, heads, batch * time, inner))
    y = ops.reshape(ops.matmul(a, b), (heads, batch, time, sizes(b)[-1]))
    return ops.transpose(y, (1, 0, 2, 3))
