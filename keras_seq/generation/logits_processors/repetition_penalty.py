"""`RepetitionPenalty`: tokens that are there already become less likely."""

import keras
from keras import ops

from keras_seq.generation.logits_processors._token_masks import ids_at
from keras_seq.generation.logits_processors.logits_processor import LogitsProcessor
from keras_seq.layers._arguments import is_number


@keras.saving.register_keras_serializable(package="keras_seq")
class RepetitionPenalty(LogitsProcessor):
    """Makes tokens that stand in the prompt or have been written less likely.

        score / penalty where the score is positive, score * penalty where it is negative

    (Keskar et al. 2019, section 4.1; transformers' `RepetitionPenaltyLogitsProcessor`.) In a beam
    search the scores are log-probabilities, as there. `Generator(repetition_penalty=...)` makes
    one.

    Args:
        penalty: positive number; above 1 discourages repetition, below 1 encourages it.

    Call arguments: see `LogitsProcessor`.

    Returns:
        (B, V) scores.

    Raises:
        ValueError: if `penalty` is no positive finite number.

    Example:

    ```python
    import numpy as np
    import keras_seq

    processor = keras_seq.generation.RepetitionPenalty(2.0)
    scores = np.array([[1.0, -1.0, 1.0]], "float32")
    tokens = np.array([[0, 1, 2]], "int32")  # 0 and 1 have been written
    print(np.asarray(processor(scores, tokens, 2, np.array([1]))))  # [[0.5, -2, 1]]
    ```
    """

    def __init__(self, penalty):
        if not is_number(penalty) or penalty <= 0:
            raise ValueError(
                "`penalty` of RepetitionPenalty (`repetition_penalty` of Generator) must be a "
                f"positive finite number; 1 changes nothing. Received: {penalty!r}"
            )
        self.penalty = penalty

    def __call__(self, scores, tokens, position, prompt_lengths):
        written = ops.arange(tokens.shape[1], dtype="int32") < position  # (L,)
        repeated = ids_at(tokens, ops.broadcast_to(written, ops.shape(tokens)), scores.shape[-1])
        penalized = ops.where(scores > 0, scores / self.penalty, scores * self.penalty)
        return ops.where(repeated, penalized, scores)

    def get_config(self):
        return {"penalty": self.penalty}
