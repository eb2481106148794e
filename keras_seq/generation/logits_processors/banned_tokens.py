"""`BannedTokens`: tokens that are never chosen."""

import numbers

import keras
import numpy as np
from keras import ops

from keras_seq.generation.logits_processors._token_masks import FORBIDDEN, ids_mask
from keras_seq.generation.logits_processors.logits_processor import LogitsProcessor


@keras.saving.register_keras_serializable(package="keras_seq")
class BannedTokens(LogitsProcessor):
    """Forbids some tokens at every step, as transformers' `SuppressTokensLogitsProcessor`.

    `Generator(banned_tokens=...)` makes one.

    Args:
        banned_tokens: id, or list of ids.

    Call arguments: see `LogitsProcessor`.

    Returns:
        (B, V) scores.

    Raises:
        ValueError: if `banned_tokens` are no ids, or, in a `Generator`, outside the vocabulary.

    Example:

    ```python
    import numpy as np
    import keras_seq

    processor = keras_seq.generation.BannedTokens([0, 2])
    scores = processor(np.zeros((1, 4), "float32"), np.zeros((1, 9), "int32"), 3, np.array([1]))
    print(np.asarray(scores))  # 0 and 2 are forbidden
    ```
    """

    def __init__(self, banned_tokens):
        banned = list(banned_tokens) if np.ndim(banned_tokens) else [banned_tokens]
        for token in banned:
            whole = isinstance(token, numbers.Integral) and not isinstance(token, bool)
            if not whole or token < 0:
                raise ValueError(
                    f"`banned_tokens` must hold ids, ints of at least 0. Received: {token!r}"
                )
        self.banned_tokens = [int(token) for token in banned]

    def __call__(self, scores, tokens, position, prompt_lengths):
        return ops.where(ids_mask(self.banned_tokens, scores.shape[-1]), FORBIDDEN, scores)

    def check(self, generator):
        limit = generator.vocabulary_size
        if max(self.banned_tokens, default=0) >= limit:
            raise ValueError(
                f"`banned_tokens` must hold ids in [0, {limit}), the model's vocabulary. "
                f"Received: {max(self.banned_tokens)}"
            )

    def get_config(self):
        return {"banned_tokens": self.banned_tokens}
