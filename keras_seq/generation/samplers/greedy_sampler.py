"""`GreedySampler`: the likeliest token."""

import keras

from keras_seq.generation.samplers.sampler import Sampler
from keras_seq.layers._largest import largest


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
        return largest(log_probabilities)
