"""`MinLength`: no end before a row has enough new tokens."""

import keras
import numpy as np
from keras import ops

from keras_seq.generation.logits_processors._token_masks import FORBIDDEN, ids_mask
from keras_seq.generation.logits_processors.logits_processor import LogitsProcessor
from keras_seq.layers._arguments import check_positive


@keras.saving.register_keras_serializable(package="keras_seq")
class MinLength(LogitsProcessor):
    """Forbids end tokens until a row has `min_length` new tokens.

    The first token that may be an end token is new token number `min_length` + 1, as with
    transformers' `MinNewTokensLengthLogitsProcessor`. `Generator(min_length=...)` makes one.

    Args:
        min_length: how many new tokens come before an end token at least.
        end_token: id, or list of ids, that ends a sequence.

    Call arguments: see `LogitsProcessor`.

    Returns:
        (B, V) scores.

    Raises:
        ValueError: if `min_length` is no int of at least 1, or there is no end token.

    Example:

    ```python
    import numpy as np
    import keras_seq

    processor = keras_seq.generation.MinLength(3, end_token=0)
    tokens = np.zeros((1, 9), "int32")
    scores = processor(np.zeros((1, 4), "float32"), tokens, 4, np.array([2]))  # two new tokens
    print(np.asarray(scores))  # the end token 0 is forbidden
    ```
    """

    def __init__(self, min_length, end_token):
        check_positive("MinLength", min_length=min_length)
        end_token = [] if end_token is None else end_token
        self.end_tokens = list(end_token) if np.ndim(end_token) else [end_token]
        if not self.end_tokens:
            raise ValueError(
                "`min_length` needs an `end_token` to hold back. Received: no end token"
            )
        self.min_length = int(min_length)

    def __call__(self, scores, tokens, position, prompt_lengths):
        short = ops.expand_dims(position - prompt_lengths < self.min_length, -1)  # (B, 1)
        ends = ids_mask(self.end_tokens, scores.shape[-1])
        return ops.where(ops.logical_and(short, ends), FORBIDDEN, scores)

    def check(self, generator):
        if self.min_length > generator.max_length:
            raise ValueError(
                f"`min_length` must not be above max_length={generator.max_length} of the "
                f"Generator. Received: {self.min_length}"
            )

    def get_config(self):
        return {"min_length": self.min_length, "end_token": self.end_tokens}
