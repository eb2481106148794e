"""What the encoder and decoder blocks share: arguments, sublayers, residual connections."""

import inspect

import keras
from keras import initializers

from keras_seq.layers._arguments import check_epsilon, check_positive, check_rate
from keras_seq.layers._clone_initializer import clone_initializer
from keras_seq.layers.attention._multi_head import check_heads, check_scale, checked_use_bias
from keras_seq.layers.attention.self_attention import MultiHeadSelfAttention, check_window
from keras_seq.layers.blocks._activations import get_activation, serialize_activation
from keras_seq.layers.blocks.feed_forward import FeedForward
from keras_seq.layers.blocks.rms_normalization import RMSNormalization
from keras_seq.layers.positions._known_schemes import checked_positions, serialized_positions
from keras_seq.layers.sequence_layer import SequenceLayer


class TransformerBlock(SequenceLayer):
    """Base of the blocks; `TransformerEncoderBlock` says what the arguments mean."""

    can_reset_state = False

    def __init__(
        self,
        intermediate_dim,
        num_heads,
        dropout=0.0,
        activation="relu",
        layer_norm_epsilon=1e-5,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        normalize_first=False,
        normalization="layer",
        gated=False,
        use_bias=True,
        use_attention_bias=None,
        num_key_value_heads=None,
        sliding_window=None,
        positions=None,
        key_dim=None,
        attention_scale=None,
        attention_class=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        layer = type(self).__name__
        check_positive(layer, intermediate_dim=intermediate_dim)
        if key_dim is not None:
            check_positive(layer, key_dim=key_dim)
        check_heads(layer, num_heads, 1 if num_key_value_heads is None else num_key_value_heads)
        check_rate(layer, dropout=dropout)
        check_epsilon(layer, layer_norm_epsilon=layer_norm_epsilon)
        check_window(layer, sliding_window, causal=True)
        check_scale(layer, attention_scale=attention_scale)
        if use_attention_bias is not None:
            use_attention_bias = checked_use_bias(layer, "use_attention_bias", use_attention_bias)
        normalization_layer(normalization)  # which refuses unknown ones
        self.intermediate_dim = intermediate_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.activation = get_activation(activation)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.normalize_first = normalize_first
        self.normalization = normalization
        self.gated = gated
        self.use_bias = use_bias
        self.use_attention_bias = use_attention_bias
        self.num_key_value_heads = num_key_value_heads
        self.sliding_window = sliding_window
        self.positions = checked_positions(layer, positions)
        self.key_dim = key_dim
        self.attention_scale = attention_scale
        self.attention_class = _checked_class(layer, attention_class)
        self.seed = seed

    def _build_self_attention(self, shape, causal):
        attention_class = self.attention_class or MultiHeadSelfAttention
        self.self_attention = attention_class(
            causal=causal,
            num_key_value_heads=self.num_key_value_heads,
            sliding_window=self.sliding_window,
            positions=self.positions,
            name="self_attention",
            **self._attention_arguments(shape[-1]),
        )
        self.self_attention.build(shape)
        self.self_attention_norm = self._build_norm("self_attention", shape)

    def _build_feed_forward(self, shape):
        self.feed_forward = FeedForward(
            self.intermediate_dim,
            activation=self.activation,
            gated=self.gated,
            use_bias=self.use_bias,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            bias_initializer=clone_initializer(self.bias_initializer),
            seed=self._next_seed(),
            dtype=self.dtype_policy,
            name="feed_forward",
        )
        self.feed_forward.build(shape)
        self.feed_forward_norm = self._build_norm("feed_forward", shape)
        self.residual_dropout = keras.layers.Dropout(
            self.dropout, seed=self._next_seed(), dtype=self.dtype_policy
        )

    def _build_norm(self, name, shape):
        norm = normalization_layer(
            self.normalization,
            epsilon=self.layer_norm_epsilon,
            use_bias=self.use_bias,
            dtype=self.dtype_policy,
            name=f"{name}_norm",
        )
        norm.build(shape)
        return norm

    def _attention_arguments(self, features):
        key_dim = self.key_dim
        if key_dim is None:
            if features is None or features % self.num_heads:
                raise ValueError(
                    f"The features D of `x` of {type(self).__name__} must be a multiple of "
                    "`num_heads`, unless `key_dim` is given. "
                    f"Received: D={features}, num_heads={self.num_heads}"
                )
            key_dim = features // self.num_heads
        use_bias = self.use_bias if self.use_attention_bias is None else self.use_attention_bias
        return {
            "num_heads": self.num_heads,
            "key_dim": key_dim,
            "dropout": self.dropout,
            "use_bias": use_bias,
            "scale": self.attention_scale,
            "kernel_initializer": clone_initializer(self.kernel_initializer),
            "bias_initializer": clone_initializer(self.bias_initializer),
            "seed": self._next_seed(),
            "dtype": self.dtype_policy,
        }

    def _next_seed(self):
        """Seeds of the sublayers follow from the block's, and differ: else all drop the same."""
        if self.seed is None:
            return None
        self._seeds_given = getattr(self, "_seeds_given", 0) + 1
        return self.seed + self._seeds_given

    def _residual(self, name, x, training, **arguments):
        """`norm(x + dropout(f(x)))`, or `x + dropout(f(norm(x)))` with `normalize_first`.

        Args:
            name: of the sublayer f, such as `"feed_forward"`.
            x: (B, T, D).
            training, **arguments: of the sublayer's call, after x.

        Returns:
            `(x, rest)`: (B, T, D), and a list of what f returns after its output.
        """
        f, norm = getattr(self, name), getattr(self, f"{name}_norm")
        outputs = f(norm(x) if self.normalize_first else x, training=training, **arguments)
        y, *rest = outputs if isinstance(outputs, tuple) else (outputs,)
        x = x + (self.residual_dropout(y, training=training) if self.dropout else y)
        return (x if self.normalize_first else norm(x)), rest

    def compute_output_shape(self, x_shape, context_shape=None):
        return tuple(x_shape)

    def get_config(self):
        use_attention_bias = self.use_attention_bias
        if isinstance(use_attention_bias, tuple):
            use_attention_bias = list(use_attention_bias)
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "activation": serialize_activation(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "normalize_first": self.normalize_first,
            "normalization": self.normalization,
            "gated": self.gated,
            "use_bias": self.use_bias,
            "use_attention_bias": use_attention_bias,
            "num_key_value_heads": self.num_key_value_heads,
            "sliding_window": self.sliding_window,
            "positions": serialized_positions(self.positions),
            "key_dim": self.key_dim,
            "attention_scale": self.attention_scale,
            "attention_class": self.attention_class
            and keras.saving.get_registered_name(self.attention_class),
            "seed": self.seed,
        }


def _checked_class(layer, attention_class):
    """`attention_class` as a class, or `None`; configurations have its registered name."""
    if attention_class is None:
        return None
    given = attention_class
    if isinstance(given, str):
        attention_class = keras.saving.get_registered_object(given)
    if not (
        inspect.isclass(attention_class) and issubclass(attention_class, MultiHeadSelfAttention)
    ):
        raise ValueError(
            f"`attention_class` of {layer} must be a subclass of MultiHeadSelfAttention, or the "
            "name under which `keras.saving.register_keras_serializable` registered one. "
            f"Received: {given!r}"
        )
    return attention_class


def normalization_layer(normalization, epsilon=1e-5, use_bias=True, **kwargs):
    """Layer normalization (Ba et al. 2016) or RMS normalization (Zhang & Sennrich 2019).

    Args:
        normalization: `"layer"` or `"rms"`.
        epsilon: added to the variance or the mean square.
        use_bias: whether a layer normalization has a bias; the other has none.
        **kwargs: `name` and `dtype`.

    Raises:
        ValueError: if `normalization` is unknown.
    """
    if normalization == "layer":
        return keras.layers.LayerNormalization(epsilon=epsilon, center=use_bias, **kwargs)
    if normalization == "rms":
        return RMSNormalization(epsilon=epsilon, **kwargs)
    raise ValueError(f"`normalization` must be 'layer' or 'rms'. Received: {normalization!r}")
