"""Additive attention (Bahdanau et al. 2015)."""

import keras
from keras import initializers, ops

from keras_seq.layers._arguments import check_positive
from keras_seq.layers._clone_initializer import clone_initializer
from keras_seq.layers.attention._context_attention import ContextAttention


@keras.saving.register_keras_serializable(package="keras_seq")
class AdditiveAttention(ContextAttention):
    r"""A decoder attends to the source (Bahdanau et al. 2015, section 3.1, appendix A.1.2).

        e_tj = v^T tanh(W_a s_t + U_a h_j)     # how well source j matches the decoder at t
        a_tj = softmax_j(e_tj)
        y_t  = sum_j a_tj h_j                  # the context vector

    s_t is the decoder's state (`x`), h_j the encoder's annotation (`context`). `keras.layers.
    AdditiveAttention` has v alone; this layer has the paper's W_a and U_a, too. Its state is the
    source and U_a h, computed once.

    Args:
        units: width of the comparison, the paper's n'.
        dropout: fraction of the attention weights to drop in training.
        kernel_initializer: of W_a, U_a and v.
        seed: of the dropout.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if `units` or `dropout` is out of range, or neither `context` nor a state is
            given.

    Example:

    ```python
    import numpy as np
    import keras_seq

    layer = keras_seq.layers.AdditiveAttention(units=16)
    decoder, source = np.ones((2, 3, 8), "float32"), np.ones((2, 5, 6), "float32")
    y, scores = layer(decoder, source, return_attention_scores=True)
    print(y.shape, scores.shape)  # (2, 3, 6) (2, 3, 5)
    ```
    """

    def __init__(
        self, units, dropout=0.0, kernel_initializer="glorot_uniform", seed=None, **kwargs
    ):
        super().__init__(dropout, seed, **kwargs)
        check_positive("AdditiveAttention", units=units)
        self.units = units
        self.kernel_initializer = initializers.get(kernel_initializer)

    def build(self, x_shape, context_shape):
        super().build(x_shape, context_shape)

        def weight(name, shape):
            return self.add_weight(
                name=name, shape=shape, initializer=clone_initializer(self.kernel_initializer)
            )

        self.query_kernel = weight("query_kernel", (x_shape[-1], self.units))
        self.key_kernel = weight("key_kernel", (context_shape[-1], self.units))
        self.score_kernel = weight("score_kernel", (self.units, 1))

    def _key(self, context):
        return ops.matmul(context, ops.cast(self.key_kernel, context.dtype))  # (B, S, units)

    def _scores(self, x, key):
        query = ops.matmul(x, self.query_kernel)  # (B, T, units)
        match = ops.tanh(ops.expand_dims(query, 2) + ops.expand_dims(key, 1))
        # No matrix product: with Keras 3.12 that of a rank 4 tensor with a (units, 1) kernel
        # crashes TensorFlow 2.21 (oneDNN) outside of XLA.
        return ops.sum(match * self.score_kernel[:, 0], axis=-1)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
        }
