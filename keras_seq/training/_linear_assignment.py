"""The assignment of least cost, of a batch, inside a training step."""

import keras
import numpy as np
from keras import ops


def linear_assignment(cost, valid=None):
    r"""Gives each object a prediction of its own, at the least cost in all.

        assignment = argmin  sum_m cost[assignment[m], m],    no prediction being given twice

    (Kuhn 1955, the Hungarian algorithm.) `scipy.optimize.linear_sum_assignment` computes it, on the
    host: from a TensorFlow graph through `tf.numpy_function`, which XLA cannot compile, and from a
    JAX function through `jax.pure_callback`, which can be compiled. There is no gradient.

    Args:
        cost: (B, N, M) floats, of N predictions and M objects, M <= N.
        valid: (B, M) booleans, False for objects that are padding; `None` where none is.

    Returns:
        (B, M) int32, the number of the prediction of each object; 0 for padding.

    Raises:
        ImportError: if SciPy is missing.
        ValueError: if there are more objects than predictions.

    Example:

    ```python
    import numpy as np
    from keras_seq.training import linear_assignment

    cost = np.array([[[1.0, 2.0], [3.0, 9.0], [9.0, 9.0]]])  # the cheapest first would cost 1 + 9
    print(np.array(linear_assignment(cost)))  # [[1 0]], which costs 3 + 2
    ```
    """
    _solver()  # which says so now if SciPy is missing
    cost = ops.stop_gradient(ops.cast(cost, "float32"))
    if None not in cost.shape[1:] and cost.shape[1] < cost.shape[2]:
        raise ValueError(
            "`cost` of linear_assignment must be (B, N, M) with at least as many predictions N as "
            f"objects M. Received: shape {tuple(cost.shape)}. Give the detector more queries."
        )
    valid = ops.ones_like(cost[:, 0], "bool") if valid is None else ops.cast(valid, "bool")
    shape = (cost.shape[0], cost.shape[2])
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        assignment = tf.numpy_function(_solve, [cost, valid], "int32", stateful=False)
        return tf.ensure_shape(assignment, shape)
    if backend == "jax":
        import jax

        return jax.pure_callback(_solve, jax.ShapeDtypeStruct(shape, "int32"), cost, valid)
    return ops.convert_to_tensor(_solve(*map(ops.convert_to_numpy, (cost, valid))))


def _solve(cost, valid):
    cost, valid = np.asarray(cost), np.asarray(valid)
    # What is not finite would be refused; a loss that is not finite is seen by `fit`.
    cost = np.nan_to_num(cost, nan=1e9, posinf=1e9, neginf=-1e9)
    solve, assignment = _solver(), np.zeros(valid.shape, "int32")
    for matrix, objects, row in zip(cost, valid, assignment, strict=True):
        predictions, columns = solve(matrix[:, objects])
        row[np.flatnonzero(objects)[columns]] = predictions
    return assignment


def _solver():
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ImportError(
            "Matching predictions with objects needs SciPy, which cannot be imported. Install it: "
            'pip install "keras_seq[detection]"'
        ) from error
    return linear_sum_assignment
