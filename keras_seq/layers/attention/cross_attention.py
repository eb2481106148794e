"""Multi-head cross-attention (Vaswani et al. 2017, section 3.2.3)."""

import keras
from keras import ops

from keras_seq.layers._arguments import check_rank
from keras_seq.layers.attention._masking import checked_mask, move_nan_to_key
from keras_seq.layers.attention._multi_head import MultiHeadAttention, heads_first
from keras_seq.layers.sequence_layer import implicit_mask


@keras.saving.register_keras_serializable(package="keras_seq")
class MultiHeadCrossAttention(MultiHeadAttention):
    r"""A target sequence attends to a source sequence (Vaswani et al. 2017, section 3.2.3).

        Q    = x W_Q;  K, V = context W_K, context W_V    # for each head
        head = softmax(Q K^T / sqrt(key_dim)) V
        y    = concat(heads) W_O

    Every position of the source is visible to every position of the target, so the layer is causal
    in the target. Its state is the source's keys and values, computed once.

    Args:
        num_heads: H.
        key_dim: K, width of each head's queries and keys.
        value_dim: width of each head's values; `key_dim` if `None`.
        num_key_value_heads: G, heads of keys and values, each shared by H / G heads of queries
            (Ainslie et al. 2023); H if `None`.
        dropout: fraction of the attention weights to drop in training.
        use_bias: whether the projections have biases, or a list of those that have one, among
            `"query"`, `"key"`, `"value"` and `"output"` (Qwen2 has the first three).
        kernel_initializer, bias_initializer: of the projections.
        seed: of the dropout.
        scale: what scores are multiplied by; 1 / sqrt(key_dim) if `None`. T5 has 1.0.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if a size or rate is out of range, or neither `context` nor a state is given.

    Example:

    ```python
    import numpy as np
    import keras_seq

    layer = keras_seq.layers.MultiHeadCrossAttention(num_heads=2, key_dim=4)
    target, source = np.ones((2, 3, 8), "float32"), np.ones((2, 5, 6), "float32")
    y, scores = layer(target, source, return_attention_scores=True)
    print(y.shape, scores.shape)  # (2, 3, 8) (2, 2, 3, 5)
    ```
    """

    def build(self, x_shape, context_shape):
        check_rank("MultiHeadCrossAttention", "x", x_shape, 3, "(B, T, D)")
        check_rank("MultiHeadCrossAttention", "context", context_shape, 3, "(B, S, features)")
        self._build_projections(x_shape[-1], context_shape[-1])

    def get_initial_state(self, batch_size, max_length=None, context=None, context_mask=None):
        """The source's keys and values.

        Args:
            batch_size, max_length: ignored; the context tells the batch, the state does not grow.
            context: (B, S, features), the source.
            context_mask: (B, S) boolean, False where the source must not be attended to.

        Returns:
            Dict of `key` and `value` (B, G, S, K) and `valid` (B, S) boolean.

        Raises:
            ValueError: if `context` is missing, or `context_mask` has another shape.
        """
        if context is None:
            raise ValueError(
                f"`context` of `{self.name}` (MultiHeadCrossAttention) must be the sequence "
                "to attend to, (B, S, features); without it pass `initial_state`. Received: None"
            )
        self._check_built()
        self._hoist_kernels()
        mask = checked_mask(self, "context_mask", context, context_mask, "(B, S)")
        context = ops.cast(context, self.compute_dtype)
        key, value = move_nan_to_key(self._key(context), self._value(context))
        if mask is None:
            mask = ops.ones_like(context[:, :, 0], dtype="bool")
        return {"key": heads_first(key), "value": heads_first(value), "valid": mask}

    def call(
        self,
        x,
        context=None,
        mask=None,
        context_mask=None,
        initial_state=None,
        return_state=False,
        return_attention_scores=False,
        attention_bias=None,
        training=None,
    ):
        """Attend to `context`.

        Args:
            x: (B, T, D) floats, the target.
            context: (B, S, features) floats, the source; not needed with `initial_state`.
            mask: (B, T), the target's mask; passed on, it changes nothing here.
            context_mask: (B, S) boolean, False where the source must not be attended to.
            initial_state: what `get_initial_state(..., context=...)` gave.
            return_state: return the state, too.
            return_attention_scores: return the attention weights (B, H, T, S), too.
            attention_bias: floats that broadcast to (B, H, T, S), added to the scores before the
                softmax; -inf hides. A step takes that of its own, (B, H, 1, S).
            training: whether dropout is on.

        Returns:
            y of shape (B, T, D), then the scores and the state where asked for.
        """
        state, masked = initial_state, True
        if state is None:
            state = self.get_initial_state(None, context=context, context_mask=context_mask)
            masked = implicit_mask(context, context_mask) is not None
        attend = ops.expand_dims(state["valid"], (1, 2)) if masked else None
        query = heads_first(self._query(x))
        y, weights = self._mix(
            query,
            state["key"],
            state["value"],
            attend,
            (None, attention_bias),
            nonempty=not masked,
            scores=return_attention_scores,
            training=training,
        )
        returns = (self._output(y),)
        if return_attention_scores:
            returns += (weights,)
        if return_state:
            returns += (state,)
        return returns if len(returns) > 1 else returns[0]

    def compute_output_shape(self, x_shape, context_shape=None):
        return tuple(x_shape)
