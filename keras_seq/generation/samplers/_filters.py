"""`TopK` and `TopP`: filters of a `RandomSampler`, which restrict what tokens may be drawn."""

import keras
from keras import ops

from keras_seq.generation.samplers._arguments import check_number
from keras_seq.layers._arguments import check_positive
from keras_seq.saving._objects import Configured


@keras.saving.register_keras_serializable(package="keras_seq")
class TopK(Configured):
    """Keeps the `k` likeliest tokens (Fan et al. 2018, section 5.1), a filter of `RandomSampler`.

    Args:
        k: how many tokens may be drawn; of equally likely ones the first.

    Call arguments:
        log_probabilities: (B, C) floats.

    Returns:
        (B, C) floats, -inf where a token may not be drawn.

    Raises:
        ValueError: if `k` is no int of at least 1.

    Example:

    ```python
    import numpy as np
    import keras_seq

    kept = keras_seq.generation.TopK(2)(np.log([[0.1, 0.2, 0.7]]).astype("float32"))
    print(np.exp(kept))  # 0, 0.2, 0.7
    ```
    """

    def __init__(self, k=5):
        check_positive(type(self).__name__, k=k)
        self.k = k

    def __call__(self, log_probabilities):
        log_probabilities = ops.convert_to_tensor(log_probabilities)
        values, _ = self.sorted_candidates(log_probabilities)
        return _keep_largest(log_probabilities, values)

    def sorted_candidates(self, log_probabilities):
        """`(values, index)`, (B, k) each, largest first: what is kept of (B, C), and where."""
        return ops.top_k(log_probabilities, min(self.k, log_probabilities.shape[-1]))

    def get_config(self):
        return {"k": self.k}


@keras.saving.register_keras_serializable(package="keras_seq")
class TopP(Configured):
    """Keeps the nucleus (Holtzman et al. 2020, section 3.1), a filter of `RandomSampler`.

    The nucleus are the likeliest tokens, as many as it takes for their probabilities to sum up to
    more than `p`, of what the filters before it have left.

    Args:
        p: in (0, 1].
        k: only the `k` likeliest tokens are sorted and looked at, which is faster; unlike with
            `TopK(k)` before it, the probabilities are those among all tokens. `None`: all.

    Call arguments:
        log_probabilities: (B, C) floats.

    Returns:
        (B, C) floats, -inf where a token may not be drawn.

    Raises:
        ValueError: if an argument is out of range.

    Example:

    ```python
    import numpy as np
    import keras_seq

    kept = keras_seq.generation.TopP(0.8)(np.log([[0.1, 0.2, 0.7]]).astype("float32"))
    print(np.exp(kept))  # 0, 0.2, 0.7
    ```
    """

    def __init__(self, p=0.1, k=None):
        check_number(type(self).__name__, "p", p, 0, 1)
        if k is not None:
            check_positive(type(self).__name__, k=k)
        self.p = p
        self.k = k

    def __call__(self, log_probabilities):
        log_probabilities = ops.convert_to_tensor(log_probabilities)
        values, _ = self.sorted_candidates(log_probabilities)
        return _keep_largest(log_probabilities, values)

    def sorted_candidates(self, log_probabilities):
        """`(values, index)`, largest first, -inf where cut off; see `TopK.sorted_candidates`."""
        total = ops.logsumexp(log_probabilities, axis=-1, keepdims=True)
        size = log_probabilities.shape[-1]
        values, index = ops.top_k(log_probabilities, size if self.k is None else min(self.k, size))
        if self.p == 1:  # all, though the rounded sums of a large vocabulary reach 1 before its end
            return values, index
        # A token is in while those ahead of it sum up to p at most; the first one always.
        within = ops.cumsum(ops.exp(values - total), axis=-1) <= self.p
        keep = ops.concatenate([ops.ones_like(within[:, :1]), within[:, :-1]], axis=-1)
        return ops.where(keep, values, float("-inf")), index

    def get_config(self):
        return {"p": self.p, "k": self.k}


def _keep_largest(x, values):
    """(B, C) `x` with -inf but at as many largest entries as (B, K) sorted `values` has finite."""
    kept = values > float("-inf")
    count = ops.sum(ops.cast(kept, "int32"), axis=-1, keepdims=True)  # (B, 1)
    smallest = ops.min(ops.where(kept, values, float("inf")), axis=-1, keepdims=True)
    above, equal = x > smallest, ops.equal(x, smallest)
    room = count - ops.sum(ops.cast(above, "int32"), axis=-1, keepdims=True)
    first = ops.cumsum(ops.cast(equal, "int32"), axis=-1) <= room  # of equals the first
    return ops.where(ops.logical_or(above, ops.logical_and(equal, first)), x, float("-inf"))
