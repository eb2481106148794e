"""`RandomSampler`: draws from the model's distribution, or from what filters leave of it."""

import keras
import numpy as np
from keras import ops

from keras_seq.generation._rows import entry
from keras_seq.generation.logits_processors._token_masks import FORBIDDEN
from keras_seq.generation.samplers._arguments import check_number
from keras_seq.generation.samplers._drawing import categorical
from keras_seq.generation.samplers._random_numbers import seed_words
from keras_seq.generation.samplers.sampler import Sampler
from keras_seq.saving._objects import serialized


@keras.saving.register_keras_serializable(package="keras_seq")
class RandomSampler(Sampler):
    r"""Draws a token from the model's distribution, made flatter or steeper by a temperature.

        P(x) = p(x)^(1/temperature) / sum_y p(y)^(1/temperature)

    Filters, if there are any, then remove tokens one after the other, and a token is drawn from
    what is left: `filters=[TopK(50), TopP(0.9)]` is `top_k=50, top_p=0.9` of transformers'
    `generate`, where the nucleus is that of the 50 likeliest tokens, too.

    The numbers come from a counter-based generator (Threefry-2x32, Salmon et al. 2011), a function
    of the seed, the row and the step alone: a seed gives the same tokens in one compiled loop or
    token by token, on every backend.

    Args:
        temperature: positive number in [1e-30, 1e30]; 1 is the model's own distribution, near 0 is
            greedy.
        seed: int in [0, 2^64), of every call that is given no seed of its own. `None`: a new one
            for each call.
        filters: list of callables, applied in their order: `TopK`, `TopP`, or any function of
            (B, C) log-probabilities (shifted by a constant a row; of C <= V tokens, in any order)
            that returns them with -inf where a token may not be drawn. At least one must be left.

    Call arguments:
        log_probabilities: (B, V) floats.
        seed: (2,) int32 tensor; or (3,), a seed and the step, which counts the numbers drawn.

    Returns:
        `(tokens, scores)`: (B,) int32 ids and their (B,) log-probabilities, as given.

    Raises:
        TypeError, ValueError: if an argument is out of range.

    Example:

    ```python
    import numpy as np
    import keras_seq
    from keras_seq.generation import RandomSampler, TopK, TopP

    model = keras_seq.models.seq2seq_rnn(30, 20, embedding_dim=8, units=16)
    sampler = RandomSampler(temperature=0.7, filters=[TopK(10), TopP(0.9)])
    generator = keras_seq.generation.Generator(
        model, max_length=6, start_token=2, end_token=3, sampler=sampler
    )
    source = np.array([[5, 6, 7, 3]])
    first = generator.generate(source, seed=1).tokens
    again = generator.generate(source, seed=1).tokens
    np.testing.assert_array_equal(first, again)
    ```
    """

    needs_seed = True

    def __init__(self, temperature=1.0, seed=None, filters=()):
        # 1e-30 is as good as greedy, and less is zero in float32.
        check_number(type(self).__name__, "temperature", temperature, 1e-30, 1e30)
        if seed is not None:
            seed_words(seed, f"seed` of `{type(self).__name__}")
        filters = list(filters) if np.iterable(filters) else [filters]
        for part in filters:
            if not callable(part) or isinstance(part, type):
                raise ValueError(
                    f"`filters` of {type(self).__name__} must be a list of callables on (B, C) "
                    "log-probabilities, such as keras_seq.generation.TopK(50). "
                    f"Received: {part!r}"
                )
        self.temperature = temperature
        self.seed = seed
        self.filters = filters

    def __call__(self, log_probabilities, seed):
        log_probabilities = ops.convert_to_tensor(log_probabilities)
        candidates, ids = self.candidates(log_probabilities)
        tokens = categorical(candidates, seed)
        if ids is not None:
            tokens = entry(ids, tokens)
        return tokens, entry(log_probabilities, tokens)

    def get_config(self):
        named = [(f"filters[{i}] of RandomSampler", part) for i, part in enumerate(self.filters)]
        return {
            "temperature": self.temperature,
            "seed": self.seed,
            "filters": [serialized(part, name) for name, part in named],
        }

    def candidates(self, log_probabilities):
        """What may be drawn.

        Args:
            log_probabilities: (B, V) floats.

        Returns:
            `(log_weights, ids)`: (B, C) floats, -inf where a token may not be drawn, and the (B, C)
            int32 ids that they belong to, or `None` for 0 to V - 1.
        """
        best = ops.max(log_probabilities, axis=-1, keepdims=True)
        log_weights = (log_probabilities - best) / self.temperature
        # No temperature makes a token that must not be chosen likely.
        forbidden = log_probabilities < FORBIDDEN / 2
        log_weights, ids = ops.where(forbidden, float("-inf"), log_weights), None
        for part in self.filters:
            # Sorting filters leave few columns, so that those after them have less to do.
            if hasattr(part, "sorted_candidates"):
                log_weights, index = part.sorted_candidates(log_weights)
                index = ops.cast(index, "int32")
                ids = index if ids is None else ops.take_along_axis(ids, index, axis=-1)
            else:
                log_weights = ops.convert_to_tensor(part(log_weights))
        return log_weights, ids
