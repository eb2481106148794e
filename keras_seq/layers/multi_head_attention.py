"""Multi-head self-attention and cross-attention (Vaswani et al. 2017, section 3.2)."""

import math

import keras
from keras import initializers, ops

from keras_seq.layers.arguments import check_positive, check_rank, check_rate
from keras_seq.layers.attention_cache import append, empty_cache
from keras_seq.layers.masked_softmax import masked_softmax
from keras_seq.layers.sequence_layer import SequenceLayer, implicit_mask


class MultiHeadAttention(SequenceLayer):
    """What self- and cross-attention share: the projections, the scores, the weighted sum."""

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        layer = type(self).__name__
        check_positive(layer, num_heads=num_heads, key_dim=key_dim, value_dim=value_dim or key_dim)
        check_rate(layer, dropout=dropout)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim or key_dim
        self.dropout = dropout
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def _build_projections(self, query_features, context_features):
        """Weights in the order and layout of `keras.layers.MultiHeadAttention`."""
        heads = self.num_heads

        def projection(name, kernel_shape, bias_shape):
            kernel = self.add_weight(
                name=f"{name}_kernel", shape=kernel_shape, initializer=self.kernel_initializer
            )
            if not self.use_bias:
                return kernel, None
            bias = self.add_weight(
                name=f"{name}_bias", shape=bias_shape, initializer=self.bias_initializer
            )
            return kernel, bias

        key, value = (heads, self.key_dim), (heads, self.value_dim)
        self.query_kernel, self.query_bias = projection("query", (query_features, *key), key)
        self.key_kernel, self.key_bias = projection("key", (context_features, *key), key)
        self.value_kernel, self.value_bias = projection("value", (context_features, *value), value)
        self.output_kernel, self.output_bias = projection(
            "output", (*value, query_features), (query_features,)
        )

    def _split_heads(self, x, kernel, bias):
        """Project (B, T, D) and split the heads: (B, H, T, K)."""
        features, heads, width = kernel.shape
        kernel = ops.cast(kernel, x.dtype)  # `initial_state` runs outside Keras' autocast
        x = ops.matmul(x, ops.reshape(kernel, (features, heads * width)))
        if bias is not None:
            x = x + ops.reshape(ops.cast(bias, x.dtype), (heads * width,))
        batch, time = ops.shape(x)[:2]
        return ops.transpose(ops.reshape(x, (batch, time, heads, width)), (0, 2, 1, 3))

    def _merge_heads(self, x):
        """Put the heads side by side and project: (B, H, T, K) to (B, T, D)."""
        heads, width, features = self.output_kernel.shape
        batch, _, time, _ = ops.shape(x)
        x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (batch, time, heads * width))
        x = ops.matmul(x, ops.reshape(self.output_kernel, (heads * width, features)))
        return x if self.output_bias is None else x + self.output_bias

    def _query(self, x):
        return self._split_heads(x, self.query_kernel, self.query_bias)

    def _key_and_value(self, x):
        return (
            self._split_heads(x, self.key_kernel, self.key_bias),
            self._split_heads(x, self.value_kernel, self.value_bias),
        )

    def _attend(self, query, key, value, attend, training):
        """softmax(Q K^T / sqrt(K)) V.

        Args:
            query: (B, H, T, K); key, value: (B, H, S, K).
            attend: booleans that broadcast to (B, H, T, S), True where T may look at S, or `None`.

        Returns:
            `(y, weights)`: (B, T, D) and (B, H, T, S). Where nothing may be attended to the weights
            are zero.
        """
        scores = ops.matmul(query / math.sqrt(self.key_dim), ops.transpose(key, (0, 1, 3, 2)))
        weights = masked_softmax(scores, attend)
        dropped = weights
        if training and self.dropout:
            dropped = keras.random.dropout(weights, self.dropout, seed=self.seed_generator)
        return self._merge_heads(ops.matmul(dropped, value)), weights

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="keras_seq")
class MultiHeadSelfAttention(MultiHeadAttention):
    r"""A sequence attends to itself (Vaswani et al. 2017, sections 3.2.1 and 3.2.2).

        Q, K, V = x W_Q, x W_K, x W_V                     # for each head
        head    = softmax(Q K^T / sqrt(key_dim)) V
        y       = concat(heads) W_O

    With `causal=True` position t attends to positions up to t, and the layer can be stepped: its
    state holds the keys and values of all past positions (the KV cache). Weights are laid out as in
    `keras.layers.MultiHeadAttention`, so `set_weights` works both ways.

    Args:
        num_heads: H.
        key_dim: K, width of each head's queries and keys.
        value_dim: width of each head's values; `key_dim` if `None`.
        causal: whether a position sees only itself and earlier ones.
        dropout: share of the attention weights to drop in training.
        use_bias: whether the projections have biases.
        kernel_initializer, bias_initializer: of the projections.
        seed: of the dropout.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if a size or rate is out of range, or the state has too little room.

    Example:

    ```python
    import numpy as np
    import keras_seq

    x = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")
    layer = keras_seq.layers.MultiHeadSelfAttention(num_heads=2, key_dim=4, causal=True)
    whole = layer(x)
    state = layer.initial_state(batch_size=2, max_length=6)
    first, state = layer(x[:, :4], initial_state=state, return_state=True)
    fifth, state = layer.step(x[:, 4:5], state)
    np.testing.assert_allclose(fifth[:, 0], whole[:, 4], atol=1e-5)
    ```
    """

    def __init__(self, num_heads, key_dim, value_dim=None, causal=False, **kwargs):
        super().__init__(num_heads, key_dim, value_dim=value_dim, **kwargs)
        self.causal = causal

    def build(self, input_shape):
        check_rank("MultiHeadSelfAttention", "x", input_shape, 3, "(B, T, D)")
        self._build_projections(input_shape[-1], input_shape[-1])

    def initial_state(self, batch_size, max_length=None):
        """An empty KV cache.

        Args:
            batch_size: B, an int or a scalar tensor.
            max_length: how many time steps the cache must hold.

        Returns:
            Dict of tensors, see `keras_seq.layers.attention_cache.empty_cache`.

        Raises:
            ValueError: if the layer is not causal or `max_length` is missing.
        """
        self._check_causal()
        if max_length is None:
            raise ValueError(
                f"`max_length` of `initial_state` of `{self.name}` (MultiHeadSelfAttention) must "
                "be the number of time steps that the cache has to hold. Received: None"
            )
        return empty_cache(
            batch_size,
            self.num_heads,
            max_length,
            self.key_dim,
            self.value_dim,
            self.compute_dtype,
        )

    def call(
        self,
        x,
        mask=None,
        initial_state=None,
        return_state=False,
        return_attention_scores=False,
        training=None,
    ):
        """Attend.

        Args:
            x: (B, T, D) floats.
            mask: (B, T) boolean, False for positions that nobody may attend to.
            initial_state: a KV cache; the T positions follow those it holds (causal only).
            return_state: return the state, too. Without `initial_state` it has no room left.
            return_attention_scores: return the attention weights, too: (B, H, T, T), or
                (B, H, T, L) over the cache's positions.
            training: whether dropout is on.

        Returns:
            y of shape (B, T, D), then the scores and the state where asked for.
        """
        mask = implicit_mask(x, mask)
        query = self._query(x)
        key, value = self._key_and_value(x)
        if return_state and initial_state is None:
            initial_state = self.initial_state(ops.shape(x)[0], max_length=ops.shape(x)[1])
        if initial_state is not None:
            self._check_causal()
            initial_state, attend = append(initial_state, key, value, mask)
            key, value = initial_state["key"], initial_state["value"]
        else:
            attend = self._visible(ops.shape(x)[1], mask)
        y, scores = self._attend(query, key, value, attend, training)
        returns = (y,)
        if return_attention_scores:
            returns += (scores,)
        if return_state:
            returns += (initial_state,)
        return returns if len(returns) > 1 else y

    def _visible(self, time, mask):
        """(B, 1, 1, T) or (B or 1, 1, T, T) booleans: who may look at whom."""
        attend = None if mask is None else ops.expand_dims(mask, (1, 2))
        if self.causal:
            t = ops.arange(time, dtype="int32")
            upto = ops.expand_dims(ops.expand_dims(t, 0) <= ops.expand_dims(t, 1), (0, 1))
            attend = upto if attend is None else ops.logical_and(attend, upto)
        return attend

    def compute_output_shape(self, x_shape):
        return tuple(x_shape)

    def get_config(self):
        return {**super().get_config(), "causal": self.causal}


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
        dropout: share of the attention weights to drop in training.
        use_bias: whether the projections have biases.
        kernel_initializer, bias_initializer: of the projections.
        seed: of the dropout.

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

    def initial_state(self, batch_size, max_length=None, context=None, context_mask=None):
        """The source's keys and values.

        Args:
            batch_size, max_length: ignored; the context tells the batch, the state does not grow.
            context: (B, S, features), the source.
            context_mask: (B, S) boolean, False where the source must not be attended to.

        Returns:
            Dict of `key` and `value` (B, H, S, K) and `valid` (B, S) boolean.

        Raises:
            ValueError: if `context` is missing.
        """
        if context is None:
            raise ValueError(
                f"`context` of `{self.name}` (MultiHeadCrossAttention) must be the sequence "
                "to attend to, (B, S, features); without it pass `initial_state`. Received: None"
            )
        self._check_built()
        mask = implicit_mask(context, context_mask)
        context = ops.cast(context, self.compute_dtype)
        key, value = self._key_and_value(context)
        if mask is None:
            mask = ops.ones_like(context[:, :, 0], dtype="bool")
        return {"key": key, "value": value, "valid": mask}

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
            x: (B, T, D) floats, the target.
            context: (B, S, features) floats, the source; not needed with `initial_state`.
            mask: (B, T), the target's mask; handed on, it changes nothing here.
            context_mask: (B, S) boolean, False where the source must not be attended to.
            initial_state: what `initial_state(..., context=...)` gave.
            return_state: return the state, too.
            return_attention_scores: return the attention weights (B, H, T, S), too.
            training: whether dropout is on.

        Returns:
            y of shape (B, T, D), then the scores and the state where asked for.
        """
        if initial_state is None:
            initial_state = self.initial_state(None, context=context, context_mask=context_mask)
        state = initial_state
        attend = ops.expand_dims(state["valid"], (1, 2))
        y, scores = self._attend(self._query(x), state["key"], state["value"], attend, training)
        returns = (y,)
        if return_attention_scores:
            returns += (scores,)
        if return_state:
            returns += (state,)
        return returns if len(returns) > 1 else y

    def compute_output_shape(self, x_shape, context_shape=None):
        return tuple(x_shape)
