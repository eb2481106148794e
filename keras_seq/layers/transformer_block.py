"""The encoder and decoder blocks of the Transformer (Vaswani et al. 2017, section 3.1)."""

import keras

from keras_seq.layers.arguments import check_positive, check_rate
from keras_seq.layers.feed_forward import FeedForward
from keras_seq.layers.multi_head_attention import MultiHeadCrossAttention, MultiHeadSelfAttention
from keras_seq.layers.sequence_layer import SequenceLayer, implicit_mask


class TransformerBlock(SequenceLayer):
    """What both blocks share: their arguments, and residual connections around sublayers."""

    def __init__(
        self,
        intermediate_dim,
        num_heads,
        dropout=0.0,
        activation="relu",
        normalize_first=False,
        layer_norm_epsilon=1e-5,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive(type(self).__name__, intermediate_dim=intermediate_dim, num_heads=num_heads)
        check_rate(type(self).__name__, dropout=dropout)
        self.intermediate_dim = intermediate_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.activation = keras.activations.get(activation)
        self.normalize_first = normalize_first
        self.layer_norm_epsilon = layer_norm_epsilon
        self.seed = seed

    def _key_dim(self, features):
        if features is None or features % self.num_heads:
            raise ValueError(
                f"The features D of `x` of {type(self).__name__} must be a multiple of "
                f"`num_heads`. Received: D={features}, num_heads={self.num_heads}"
            )
        return features // self.num_heads

    def _build_feed_forward(self, shape):
        self.feed_forward = FeedForward(
            self.intermediate_dim,
            activation=self.activation,
            seed=self._next_seed(),
            dtype=self.dtype_policy,
            name="feed_forward",
        )
        self.feed_forward.build(shape)
        self.feed_forward_residual = self._residual("feed_forward", shape)

    def _next_seed(self):
        """Seeds of the sublayers follow from the block's, and differ: else all drop the same."""
        if self.seed is None:
            return None
        self._seeds_given = getattr(self, "_seeds_given", 0) + 1
        return self.seed + self._seeds_given

    def _attention_arguments(self, name):
        return {
            "dropout": self.dropout,
            "seed": self._next_seed(),
            "dtype": self.dtype_policy,
            "name": name,
        }

    def _residual(self, name, shape):
        residual = _Residual(
            self.dropout,
            self.normalize_first,
            self.layer_norm_epsilon,
            seed=self._next_seed(),
            dtype=self.dtype_policy,
            name=f"{name}_residual",
        )
        residual.build(shape)
        return residual

    def compute_output_shape(self, x_shape, context_shape=None):
        return tuple(x_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "activation": keras.activations.serialize(self.activation),
            "normalize_first": self.normalize_first,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "seed": self.seed,
        }


class _Residual(keras.layers.Layer):
    """`norm(x + dropout(f(x)))`, or `x + dropout(f(norm(x)))` with `normalize_first`."""

    def __init__(self, dropout, normalize_first, epsilon, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.normalize_first = normalize_first
        self.norm = keras.layers.LayerNormalization(epsilon=epsilon, dtype=self.dtype_policy)
        self.drop = keras.layers.Dropout(dropout, seed=seed, dtype=self.dtype_policy)

    def build(self, shape):
        self.norm.build(shape)

    def before(self, x):
        return self.norm(x) if self.normalize_first else x

    def after(self, x, y, training):
        x = x + self.drop(y, training=training)
        return x if self.normalize_first else self.norm(x)


@keras.saving.register_keras_serializable(package="keras_seq")
class TransformerEncoderBlock(TransformerBlock):
    r"""Self-attention, then a feed-forward network, each with a residual connection.

        x = norm(x + self_attention(x))
        y = norm(x + feed_forward(x))

    (Vaswani et al. 2017, section 3.1.) With `normalize_first` the normalisation moves to the
    sublayers' inputs (Xiong et al. 2020). With `causal=True` it is the block of a decoder-only
    model, and it can be stepped; its state is the attention's KV cache.

    Args:
        intermediate_dim: width inside the feed-forward network.
        num_heads: H; D must be a multiple of it.
        dropout: share to drop of the attention weights and of each sublayer's output.
        activation: of the feed-forward network.
        normalize_first: pre-norm instead of post-norm; the model then ends with a normalisation.
        layer_norm_epsilon: of the layer normalisations.
        causal: whether a position sees only itself and earlier ones.
        seed: of the dropout.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if a size or rate is out of range.

    Example:

    ```python
    import numpy as np
    import keras_seq

    block = keras_seq.layers.TransformerEncoderBlock(intermediate_dim=32, num_heads=2)
    print(block(np.ones((2, 5, 8), "float32")).shape)  # (2, 5, 8)
    ```
    """

    def __init__(self, intermediate_dim, num_heads, causal=False, **kwargs):
        super().__init__(intermediate_dim, num_heads, **kwargs)
        self.causal = causal

    def build(self, input_shape):
        self.self_attention = MultiHeadSelfAttention(
            self.num_heads,
            self._key_dim(input_shape[-1]),
            causal=self.causal,
            **self._attention_arguments("self_attention"),
        )
        self.self_attention.build(input_shape)
        self.self_attention_residual = self._residual("self_attention", input_shape)
        self._build_feed_forward(input_shape)

    def initial_state(self, batch_size, max_length=None):
        """An empty KV cache, see `MultiHeadSelfAttention.initial_state`."""
        self._check_causal()
        self._check_built()
        return self.self_attention.initial_state(batch_size, max_length)

    def call(
        self,
        x,
        mask=None,
        initial_state=None,
        return_state=False,
        return_attention_scores=False,
        training=None,
    ):
        """Transform a sequence.

        Args:
            x: (B, T, D) floats.
            mask: (B, T) boolean, False for positions that nobody may attend to.
            initial_state, return_state: the contract's (causal only).
            return_attention_scores: return the attention weights (B, H, T, T), too.
            training: whether dropout is on.

        Returns:
            (B, T, D), then the scores and the state where asked for.
        """
        mask = implicit_mask(x, mask)
        residual = self.self_attention_residual
        y, scores, *state = self.self_attention(
            residual.before(x),
            mask=mask,
            initial_state=initial_state,
            return_state=return_state,
            return_attention_scores=True,
            training=training,
        )
        x = residual.after(x, y, training)
        residual = self.feed_forward_residual
        y = self.feed_forward(residual.before(x), training=training)
        x = residual.after(x, y, training)
        returns = (x, *([scores] if return_attention_scores else []), *state)
        return returns if len(returns) > 1 else x

    def get_config(self):
        return {**super().get_config(), "causal": self.causal}


@keras.saving.register_keras_serializable(package="keras_seq")
class TransformerDecoderBlock(TransformerBlock):
    r"""Causal self-attention, cross-attention to the source, then a feed-forward network.

        x = norm(x + self_attention(x))              # causal
        x = norm(x + cross_attention(x, context))
        y = norm(x + feed_forward(x))

    (Vaswani et al. 2017, section 3.1.) Its state is the KV cache of the self-attention and the
    source's keys and values, which are computed once.

    Args:
        intermediate_dim: width inside the feed-forward network.
        num_heads: H; D must be a multiple of it.
        dropout: share to drop of the attention weights and of each sublayer's output.
        activation: of the feed-forward network.
        normalize_first: pre-norm instead of post-norm; the model then ends with a normalisation.
        layer_norm_epsilon: of the layer normalisations.
        seed: of the dropout.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if a size or rate is out of range, or neither `context` nor a state is given.

    Example:

    ```python
    import numpy as np
    import keras_seq

    block = keras_seq.layers.TransformerDecoderBlock(intermediate_dim=32, num_heads=2)
    target, source = np.ones((2, 5, 8), "float32"), np.ones((2, 7, 8), "float32")
    whole = block(target, source)
    state = block.initial_state(batch_size=2, max_length=5, context=source)
    first, state = block.step(target[:, :1], state)
    np.testing.assert_allclose(first[:, 0], whole[:, 0], atol=1e-5)
    ```
    """

    def build(self, x_shape, context_shape):
        key_dim = self._key_dim(x_shape[-1])
        self.self_attention = MultiHeadSelfAttention(
            self.num_heads, key_dim, causal=True, **self._attention_arguments("self_attention")
        )
        self.self_attention.build(x_shape)
        self.self_attention_residual = self._residual("self_attention", x_shape)
        self.cross_attention = MultiHeadCrossAttention(
            self.num_heads, key_dim, **self._attention_arguments("cross_attention")
        )
        self.cross_attention.build(x_shape, context_shape)
        self.cross_attention_residual = self._residual("cross_attention", x_shape)
        self._build_feed_forward(x_shape)

    def initial_state(self, batch_size, max_length=None, context=None, context_mask=None):
        """An empty KV cache and the source's keys and values.

        Args:
            batch_size: B, an int or a scalar tensor.
            max_length: how many target steps the cache must hold.
            context: (B, S, features), the source.
            context_mask: (B, S) boolean, False where the source must not be attended to.

        Returns:
            Dict of the two attentions' states, `self` and `cross`.
        """
        self._check_built()
        return {
            "self": self.self_attention.initial_state(batch_size, max_length),
            "cross": self.cross_attention.initial_state(
                batch_size, context=context, context_mask=context_mask
            ),
        }

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
        """Transform a target sequence, given a source.

        Args:
            x: (B, T, D) floats, the target.
            context: (B, S, features) floats, the source; not needed with `initial_state`.
            mask: (B, T) boolean, False for target positions that nobody may attend to.
            context_mask: (B, S) boolean, False where the source must not be attended to.
            initial_state, return_state: the contract's.
            return_attention_scores: return the cross-attention weights (B, H, T, S), too.
            training: whether dropout is on.

        Returns:
            (B, T, D), then the scores and the state where asked for.
        """
        mask = implicit_mask(x, mask)
        context_mask = implicit_mask(context, context_mask)
        state = initial_state or {"self": None, "cross": None}
        residual = self.self_attention_residual
        y, _, *self_state = self.self_attention(
            residual.before(x),
            mask=mask,
            initial_state=state["self"],
            return_state=return_state,
            return_attention_scores=True,
            training=training,
        )
        x = residual.after(x, y, training)
        residual = self.cross_attention_residual
        y, scores, *cross_state = self.cross_attention(
            residual.before(x),
            context,
            context_mask=context_mask,
            initial_state=state["cross"],
            return_state=return_state,
            return_attention_scores=True,
            training=training,
        )
        x = residual.after(x, y, training)
        residual = self.feed_forward_residual
        y = self.feed_forward(residual.before(x), training=training)
        x = residual.after(x, y, training)
        returns = (x,)
        if return_attention_scores:
            returns += (scores,)
        if return_state:
            returns += ({"self": self_state[0], "cross": cross_state[0]},)
        return returns if len(returns) > 1 else x
