"""`NoRepeatNgram`: no n-gram stands twice in a row."""

import keras
from keras import ops

from keras_seq.generation._rows import column
from keras_seq.generation.logits_processors._token_masks import FORBIDDEN, ids_at
from keras_seq.generation.logits_processors.logits_processor import LogitsProcessor
from keras_seq.layers._arguments import check_positive


@keras.saving.register_keras_serializable(package="keras_seq")
class NoRepeatNgram(LogitsProcessor):
    """Forbids the token that would complete an n-gram for the second time, prompt included.

    (Paulus et al. 2018, section 2.5; transformers' `NoRepeatNGramLogitsProcessor`.)
    `Generator(no_repeat_ngram_size=...)` makes one.

    Args:
        ngram_size: n, at least 1.

    Call arguments: see `LogitsProcessor`.

    Returns:
        (B, V) scores.

    Raises:
        ValueError: if `ngram_size` is no int of at least 1.

    Example:

    ```python
    import numpy as np
    import keras_seq

    processor = keras_seq.generation.NoRepeatNgram(2)
    tokens = np.array([[1, 3, 2, 1, 0]], "int32")  # 1 3 2 1 has been written
    scores = processor(np.zeros((1, 4), "float32"), tokens, 4, np.array([1]))
    print(np.asarray(scores))  # after 1 comes no second 3
    ```
    """

    def __init__(self, ngram_size):
        check_positive("NoRepeatNgram (`no_repeat_ngram_size` of Generator)", ngram_size=ngram_size)
        self.ngram_size = int(ngram_size)

    def __call__(self, scores, tokens, position, prompt_lengths):
        n, length = self.ngram_size, tokens.shape[1]
        windows = length - n + 1
        if windows < 1:
            return scores
        # Window j holds tokens[j : j + n]; it counts where all of it has been written...
        repeated = ops.arange(n - 1, length, dtype="int32") < position
        repeated = ops.broadcast_to(repeated, (ops.shape(tokens)[0], windows))
        for k in range(n - 1):  # ... and begins with the last n - 1 tokens.
            at = ops.maximum(position - (n - 1) + k, 0)
            last = ops.expand_dims(column(tokens, at), 1)
            repeated = ops.logical_and(repeated, ops.equal(tokens[:, k : k + windows], last))
        banned = ids_at(tokens[:, n - 1 :], repeated, scores.shape[-1])
        return ops.where(banned, FORBIDDEN, scores)

    def get_config(self):
        return {"ngram_size": self.ngram_size}
