"""Products of time steps with a matrix, as one product of two matrices."""

from keras import ops


def affine(x, kernel, bias=None, split=None):
    """`x W + b`: (..., D) times (D, E), plus (E,); the result is (..., E), or (..., *split).

    As matrices from end to end: run operation by operation, `ops.matmul` of a sequence takes four
    times as long, and in a graph TensorFlow adds the bias within the product.
    """
    *leading, features = sizes(x)
    y = ops.matmul(ops.reshape(x, (-1, features)), kernel)
    return ops.reshape(y if bias is None else y + bias, (*leading, *(split or kernel.shape[-1:])))


def sizes(x):
    """The shape of x, with scalar tensors for sizes that are not known.

    Where all are known it runs no operation; `ops.shape` on TensorFlow runs one at each call.
    """
    return ops.shape(x) if None in tuple(x.shape) else tuple(x.shape)
