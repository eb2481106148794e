"""`TopKSampler`: draws from the k likeliest tokens."""

import keras

from keras_seq.generation.samplers._filters import TopK
from keras_seq.generation.samplers.random_sampler import RandomSampler
from keras_seq.layers._arguments import check_positive


@keras.saving.register_keras_serializable(package="keras_seq")
class TopKSampler(RandomSampler):
    """Draws from the `k` likeliest tokens (Fan et al. 2018, section 5.1).

    It is `RandomSampler(temperature, seed, filters=[TopK(k)])`.

    Args:
        k: how many tokens may be drawn; of equally likely ones the first.
        temperature: see `RandomSampler`.
        seed: see `RandomSampler`.

    Raises:
        TypeError, ValueError: if an argument is out of range.

    Example:

    ```python
    import numpy as np
    import keras_seq

    sampler = keras_seq.generation.TopKSampler(k=2)
    probabilities = np.tile(np.array([[0.5, 0.3, 0.1, 0.1]], "float32"), (100, 1))
    tokens, _ = sampler(np.log(probabilities), seed=np.array([1, 2], "int32"))
    print(set(np.asarray(tokens).tolist()))  # 0 and 1
    ```
    """

    def __init__(self, k=5, temperature=1.0, seed=None):
        check_positive(type(self).__name__, k=k)
        super().__init__(temperature, seed, filters=[TopK(k)])
        self.k = k

    def get_config(self):
        return {"k": self.k, "temperature": self.temperature, "seed": self.seed}
