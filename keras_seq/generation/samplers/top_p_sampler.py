"""`TopPSampler`: draws from the nucleus."""

import keras

from keras_seq.generation.samplers._arguments import check_number
from keras_seq.generation.samplers._filters import TopP
from keras_seq.generation.samplers.random_sampler import RandomSampler
from keras_seq.layers._arguments import check_positive


@keras.saving.register_keras_serializable(package="keras_seq")
class TopPSampler(RandomSampler):
    """Draws from the nucleus (Holtzman et al. 2020, section 3.1).

    The nucleus are the likeliest tokens, as many as it takes for their probabilities to sum up to
    more than `p`. It is `RandomSampler(temperature, seed, filters=[TopP(p, k)])`.

    Args:
        p: in (0, 1].
        k: only the `k` likeliest tokens are sorted and looked at, which is faster. `None`: all.
            For the nucleus of the `k` likeliest tokens, as `top_k` and `top_p` of transformers give
            it, stack the filters: `RandomSampler(filters=[TopK(k), TopP(p)])`.
        temperature: see `RandomSampler`. It comes before the nucleus is cut.
        seed: see `RandomSampler`.

    Raises:
        TypeError, ValueError: if an argument is out of range.

    Example:

    ```python
    import numpy as np
    import keras_seq

    sampler = keras_seq.generation.TopPSampler(p=0.6)
    probabilities = np.tile(np.array([[0.5, 0.3, 0.1, 0.1]], "float32"), (100, 1))
    tokens, _ = sampler(np.log(probabilities), seed=np.array([1, 2], "int32"))
    print(set(np.asarray(tokens).tolist()))  # 0 and 1: together 0.8
    ```
    """

    def __init__(self, p=0.1, k=None, temperature=1.0, seed=None):
        check_number(type(self).__name__, "p", p, 0, 1)
        if k is not None:
            check_positive(type(self).__name__, k=k)
        super().__init__(temperature, seed, filters=[TopP(p, k)])
        self.p = p
        self.k = k

    def get_config(self):
        return {"p": self.p, "k": self.k, "temperature": self.temperature, "seed": self.seed}
