"""`GreedySampler`: the likeliest token."""

import keras
from keras import ops

from keras_seq.generation.samplers.sampler import Sampler


@keras.saving.register_keras_serializable(package="keras_seq")
class GreedySampler(Sampler):
    """Takes the likeliest token, the first of equals.

    Call arguments:
        log_probabilities: (B, V) floats.

    Returns:
        `(tokens, scores)`: (B,) int32 ids and their (B,) log-probabilities.

    Example:

    ```python
    import numpy as np
    import keras_seq

    sampler = keras_seq.generation.GreedySampler()
    tokens, scores = sampler(np.log([[0.1, 0.7, 0.2]]).astype("float32"))
    print(int(tokens[0]))  # 1
    ```
    """

    def __call__(self, log_probabilities):
        best = ops.max(log_probabilities, axis=-1, keepdims=True)
        # The smallest index of the best: `ops.argmax` becomes an operator that LiteRT lacks.
        ids = ops.arange(log_probabilities.shape[-1], dtype="int32")
        others = ops.less(log_probabilities, best)
        tokens = ops.min(ops.where(others, log_probabilities.shape[-1], ids), axis=-1)
        return tokens, ops.squeeze(best, -1)
