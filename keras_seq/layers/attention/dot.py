"""Multiplicative attention (Luong et al. 2015)."""

import math

import keras
from keras import initializers, ops

from keras_seq.layers.attention._context_attention import ContextAttention
from keras_seq.layers.attention._products import batch_product


@keras.saving.register_keras_serializable(package="keras_seq")
class DotAttention(ContextAttention):
    r"""A decoder attends to the source by products (Luong et al. 2015, section 3.1).

        e_tj = s_t . h_j                       # score_mode="dot"
        e_tj = s_t . (h_j W_a)                 # score_mode="general"
        a_tj = softmax_j(scale e_tj)
        y_t  = sum_j a_tj h_j                  # the context vector

    s_t is the decoder's state (`x`), h_j the encoder's annotation (`context`). The paper's third
    score, "concat", is `AdditiveAttention`. Its attentional vector (equation 5) is a `Dense(...,
    activation="tanh")` of y and s side by side. The state is the source and what it is compared
    by, computed once.

    Args:
        score_mode: `"dot"`, which needs sources as wide as the decoder, or `"general"`.
        use_scale: `False` for no scale, as in the paper; `True` to learn one, as
            `keras.layers.Attention` does; `"sqrt"` for 1 / sqrt(D), which keeps the scores of wide
            states in the softmax's range (Vaswani et al. 2017, section 3.2.1).
        dropout: fraction of the attention weights to drop in training.
        kernel_initializer: of W_a.
        seed: of the dropout.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if an argument is out of range, `x` and `context` differ in width with "dot", or
            neither `context` nor a state is given.

    Example:

    ```python
    import numpy as np
    import keras_seq

    layer = keras_seq.layers.DotAttention(score_mode="general")
    decoder, source = np.ones((2, 3, 8), "float32"), np.ones((2, 5, 6), "float32")
    y, scores = layer(decoder, source, return_attention_scores=True)
    print(y.shape, scores.shape)  # (2, 3, 6) (2, 3, 5)
    ```
    """

    score_modes = ("dot", "general")

    def __init__(
        self,
        score_mode="dot",
        use_scale=False,
        dropout=0.0,
        kernel_initializer="glorot_uniform",
        seed=None,
        **kwargs,
    ):
        super().__init__(dropout, seed, **kwargs)
        if score_mode not in self.score_modes:
            raise ValueError(
                f"`score_mode` of DotAttention must be one of {self.score_modes}; the paper's "
                f"concat is AdditiveAttention. Received: score_mode={score_mode!r}"
            )
        if not isinstance(use_scale, bool) and use_scale != "sqrt":
            raise ValueError(
                "`use_scale` of DotAttention must be False, True (a learned scale) or 'sqrt' "
                f"(1 / sqrt(D)). Received: use_scale={use_scale!r}"
            )
        self.score_mode = score_mode
        self.use_scale = use_scale
        self.kernel_initializer = initializers.get(kernel_initializer)

    def build(self, x_shape, context_shape):
        super().build(x_shape, context_shape)
        width, features = x_shape[-1], context_shape[-1]
        if self.score_mode == "general":
            self.key_kernel = self.add_weight(
                name="key_kernel", shape=(features, width), initializer=self.kernel_initializer
            )
        elif width != features:
            raise ValueError(
                "`x` and `context` of DotAttention must be of one width for score_mode='dot'; "
                f"'general' compares any two. Received: D={width} and {features} features"
            )
        if self.use_scale is True:
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")

    def _key(self, context):
        if self.score_mode == "dot":
            return context
        return ops.matmul(context, ops.cast(self.key_kernel, context.dtype))  # (B, S, D)

    def _scores(self, x, key):
        if self.use_scale == "sqrt":
            x = x / math.sqrt(x.shape[-1])
        elif self.use_scale:
            x = x * self.scale
        return batch_product(x, ops.transpose(key, (0, 2, 1)))

    def get_config(self):
        return {
            **super().get_config(),
            "score_mode": self.score_mode,
            "use_scale": self.use_scale,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
        }
