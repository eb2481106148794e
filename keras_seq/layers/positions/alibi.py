"""Attention with linear biases (Press et al. 2022)."""

import keras
import numpy as np
from keras import ops

from keras_seq.layers._arguments import check_rank
from keras_seq.layers.positions.position_scheme import PositionScheme


@keras.saving.register_keras_serializable(package="keras_seq")
class AlibiBias(PositionScheme):
    r"""The further away, the less attention: a penalty on the scores (Press et al. 2022, ALiBi).

        y[h, t, s] = scores[h, t, s] - m_h |t - s|
        m_h        = 2^(-alibi_bias_max h / H)           # h = 1 .. H

    (section 3.) That is the slopes' rule where H is a power of two; else the first ones are those
    of the power of two below H, and the rest every second one of the power of two above it (the
    authors' rule). The paper is about causal attention, where s <= t. KerasHub's layer counts from
    the last key instead of from t, which the softmax cancels.

    Args:
        alibi_bias_max: the steepness of the flattest head: its slope is 2^(-alibi_bias_max).

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if `alibi_bias_max` is not positive.

    Example:

    ```python
    import numpy as np
    import keras_seq

    y = keras_seq.layers.AlibiBias()(np.zeros((1, 8, 3, 3), "float32"))
    print(np.array(y)[0, 0])  # 0 on the diagonal, -0.5 beside it, -1 in the corners
    ```
    """

    def __init__(self, alibi_bias_max=8, **kwargs):
        super().__init__(**kwargs)
        number = isinstance(alibi_bias_max, (int, float)) and not isinstance(alibi_bias_max, bool)
        if not number or alibi_bias_max <= 0:
            raise ValueError(
                "`alibi_bias_max` of AlibiBias must be a number above 0. "
                f"Received: alibi_bias_max={alibi_bias_max!r}"
            )
        self.alibi_bias_max = alibi_bias_max

    def build(self, input_shape):
        check_rank("AlibiBias", "attention_scores", input_shape, 4, "(B, H, T, S)")

    def call(self, attention_scores):
        """Add the bias.

        Args:
            attention_scores: (B, H, T, S) floats, before the softmax; the T queries are at the
                last T of the S positions.

        Returns:
            (B, H, T, S) floats.
        """
        heads = attention_scores.shape[1]
        time, sources = ops.shape(attention_scores)[2:]
        t = ops.expand_dims(sources - time + ops.arange(time, dtype="int32"), 1)
        distance = t - ops.arange(sources, dtype="int32")
        return attention_scores + ops.cast(self.bias(distance, heads), attention_scores.dtype)

    def bias(self, distance, num_heads):
        steepness = ops.convert_to_tensor(-self.slopes(num_heads).reshape(-1, 1, 1))
        return steepness * ops.cast(ops.abs(distance), "float32")

    def slopes(self, num_heads):
        """(H,) float32 NumPy array of the heads' slopes."""
        below = 2 ** (num_heads.bit_length() - 1)

        def rule(heads):
            return 2.0 ** (-self.alibi_bias_max * np.arange(1, heads + 1) / heads)

        between = rule(2 * below)[::2][: num_heads - below]
        return np.concatenate([rule(below), between]).astype("float32")

    def compute_output_shape(self, attention_scores_shape):
        return tuple(attention_scores_shape)

    def get_config(self):
        return {**super().get_config(), "alibi_bias_max": self.alibi_bias_max}
