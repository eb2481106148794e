"""Additive attention (Bahdanau et al. 2015)."""

import keras
from keras import initializers, ops

from keras_seq.layers.arguments import check_positive, check_rank, check_rate
from keras_seq.layers.masked_softmax import masked_softmax
from keras_seq.layers.sequence_layer import SequenceLayer, implicit_mask


@keras.saving.register_keras_serializable(package="keras_seq")
class AdditiveAttention(SequenceLayer):
    r"""A decoder looks back at the source (Bahdanau et al. 2015, section 3.1, appendix A.1.2).

        e_tj = v^T tanh(W_a s_t + U_a h_j)     # how well source j matches the decoder at t
        a_tj = softmax_j(e_tj)
        y_t  = sum_j a_tj h_j                  # the context vector

    s_t is the decoder's state (`x`), h_j the encoder's annotation (`context`). `keras.layers.
    AdditiveAttention` has v alone; this layer has the paper's W_a and U_a, too. Its state is the
    source and U_a h, computed once.

    Args:
        units: width of the comparison, the paper's n'.
        dropout: share of the attention weights to drop in training.
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
        super().__init__(**kwargs)
        check_positive("AdditiveAttention", units=units)
        check_rate("AdditiveAttention", dropout=dropout)
        self.units = units
        self.dropout = dropout
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, x_shape, context_shape):
        check_rank("AdditiveAttention", "x", x_shape, 3, "(B, T, D)")
        check_rank("AdditiveAttention", "context", context_shape, 3, "(B, S, features)")

        def weight(name, shape):
            return self.add_weight(name=name, shape=shape, initializer=self.kernel_initializer)

        self.query_kernel = weight("query_kernel", (x_shape[-1], self.units))
        self.key_kernel = weight("key_kernel", (context_shape[-1], self.units))
        self.score_kernel = weight("score_kernel", (self.units, 1))

    def initial_state(self, batch_size, max_length=None, context=None, context_mask=None):
        """The source, ready to be compared with.

        Args:
            batch_size, max_length: ignored; the context tells the batch, the state does not grow.
            context: (B, S, features), the source.
            context_mask: (B, S) boolean, False where the source must not be attended to.

        Returns:
            Dict of `key` (B, S, units), `value` (B, S, features) and `valid` (B, S) boolean.

        Raises:
            ValueError: if `context` is missing.
        """
        if context is None:
            raise ValueError(
                f"`context` of `{self.name}` (AdditiveAttention) must be the sequence to attend "
                "to, (B, S, features); without it pass `initial_state`. Received: None"
            )
        self._check_built()
        mask = implicit_mask(context, context_mask)
        context = ops.cast(context, self.compute_dtype)
        if mask is None:
            mask = ops.ones_like(context[:, :, 0], dtype="bool")
        key = ops.matmul(context, ops.cast(self.key_kernel, self.compute_dtype))
        return {"key": key, "value": context, "valid": mask}

    def call(
        self,
        x,
        context=None,
        mask=None,
        context_mask=None,
        initial_state=None,
        return_state=False,
        return_attention_scores=False,
        training=None,
    ):
        """Attend to `context`.

        Args:
            x: (B, T, D) floats, the decoder's states.
            context: (B, S, features) floats, the source; not needed with `initial_state`.
            mask: (B, T), the target's mask; handed on, it changes nothing here.
            context_mask: (B, S) boolean, False where the source must not be attended to.
            initial_state: what `initial_state(..., context=...)` gave.
            return_state: return the state, too.
            return_attention_scores: return the attention weights (B, T, S), too.
            training: whether dropout is on.

        Returns:
            y of shape (B, T, features), then the scores and the state where asked for.
        """
        state = initial_state
        if state is None:
            state = self.initial_state(None, context=context, context_mask=context_mask)
        query = ops.matmul(x, self.query_kernel)  # (B, T, units)
        match = ops.tanh(ops.expand_dims(query, 2) + ops.expand_dims(state["key"], 1))
        # No matrix product: with Keras 3.12 that of a rank 4 tensor with a (units, 1) kernel
        # crashes TensorFlow 2.21 (oneDNN) outside of XLA.
        scores = ops.sum(match * self.score_kernel[:, 0], axis=-1)  # (B, T, S)
        weights = masked_softmax(scores, ops.expand_dims(state["valid"], 1))
        dropped = weights
        if training and self.dropout:
            dropped = keras.random.dropout(weights, self.dropout, seed=self.seed_generator)
        y = ops.matmul(dropped, state["value"])
        returns = (y,)
        if return_attention_scores:
            returns += (weights,)
        if return_state:
            returns += (state,)
        return returns if len(returns) > 1 else y

    def compute_output_shape(self, x_shape, context_shape):
        return (*x_shape[:2], context_shape[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "dropout": self.dropout,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "seed": self.seed,
        }
