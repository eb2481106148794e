"""What self-attention and cross-attention share: projections, scores, the weighted sum."""

import math

import keras
from keras import initializers, ops

from keras_seq.layers import _devices as devices
from keras_seq.layers._affine import affine, sizes
from keras_seq.layers._arguments import check_positive, check_rate, is_number
from keras_seq.layers._clone_initializer import clone_initializer
from keras_seq.layers.attention._hoisted_kernels import hoist, matrix
from keras_seq.layers.attention._masking import masked_softmax
from keras_seq.layers.attention._products import batch_product
from keras_seq.layers.sequence_layer import SequenceLayer

PROJECTIONS = ("query", "key", "value", "output")


class MultiHeadAttention(SequenceLayer):
    """H heads of queries, and G heads of keys and values that groups of H / G queries share.

    A variant is a subclass that overrides `transform_query`, `transform_key` or `transform_scores`.
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        num_key_value_heads=None,
        dropout=0.0,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        seed=None,
        scale=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        layer = type(self).__name__
        value_dim = key_dim if value_dim is None else value_dim
        groups = num_heads if num_key_value_heads is None else num_key_value_heads
        check_positive(layer, key_dim=key_dim, value_dim=value_dim)
        check_heads(layer, num_heads, groups)
        check_rate(layer, dropout=dropout)
        check_scale(layer, scale=scale)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.num_key_value_heads = groups
        self.dropout = dropout
        self.use_bias = checked_use_bias(layer, "use_bias", use_bias)
        self.scale = scale
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def _build_projections(self, query_features, context_features):
        """Weights as in `keras.layers.MultiHeadAttention` and `GroupQueryAttention`."""
        with_bias = self.use_bias
        if isinstance(with_bias, bool):
            with_bias = PROJECTIONS if with_bias else ()

        def projection(name, kernel_shape, bias_shape):
            kernel = self.add_weight(
                name=f"{name}_kernel",
                shape=kernel_shape,
                initializer=clone_initializer(self.kernel_initializer),
            )
            if name not in with_bias:
                return kernel, None
            bias = self.add_weight(
                name=f"{name}_bias",
                shape=bias_shape,
                initializer=clone_initializer(self.bias_initializer),
            )
            return kernel, bias

        query, key = (self.num_heads, self.key_dim), (self.num_key_value_heads, self.key_dim)
        value = (self.num_key_value_heads, self.value_dim)
        self.query_kernel, self.query_bias = projection("query", (query_features, *query), query)
        self.key_kernel, self.key_bias = projection("key", (context_features, *key), key)
        self.value_kernel, self.value_bias = projection("value", (context_features, *value), value)
        self.output_kernel, self.output_bias = projection(
            "output", (self.num_heads, self.value_dim, query_features), (query_features,)
        )

    def _project(self, x, kernel, bias):
        """(B, T, D) to (B, T, heads, width)."""
        features, heads, width = kernel.shape
        if x.shape[-1] not in (features, None):
            raise ValueError(
                f"What `{self.name}` ({type(self).__name__}) projects must have {features} "
                f"features, as when it was built. Received: shape {tuple(x.shape)}"
            )
        # `get_initial_state` runs outside Keras' autocast.
        kernel = matrix(kernel, (features, heads * width), x.dtype)
        if bias is not None:
            bias = ops.reshape(ops.cast(bias, x.dtype), (heads * width,))
        return affine(x, kernel, bias, split=(heads, width))

    def _hoist_kernels(self):
        """What every step multiplies by, made before the first one (see `hoisted_kernels`)."""
        for kernel in (self.query_kernel, self.key_kernel, self.value_kernel):
            hoist(kernel, (kernel.shape[0], -1), self.compute_dtype)
        hoist(self.output_kernel, (-1, self.output_kernel.shape[-1]), self.compute_dtype)

    def transform_query(self, query):
        """A hook for subclasses: change the queries, before positions come in.

        Args:
            query: (B, T, H, K) floats, x W_Q + b_Q.

        Returns:
            (B, T, H, K) floats.
        """
        return query

    def transform_key(self, key):
        """A hook for subclasses: change the keys, before positions come in.

        Args:
            key: (B, S, G, K) floats, x W_K + b_K. The cache holds what is made of them here.

        Returns:
            (B, S, G, K) floats.
        """
        return key

    def transform_scores(self, scores):
        """A hook for subclasses: change the scores, before biases, mask and softmax.

        Args:
            scores: (B, H, T, S) floats, the scaled products of queries and keys. S may be the
                places of a cache, so that it should act on each score alone.

        Returns:
            (B, H, T, S) floats.
        """
        return scores

    def _query(self, x):
        return self.transform_query(self._project(x, self.query_kernel, self.query_bias))

    def _key(self, x):
        return self.transform_key(self._project(x, self.key_kernel, self.key_bias))

    def _value(self, x):
        return self._project(x, self.value_kernel, self.value_bias)

    def _weights(self, query, key, attend, bias=None, attention_bias=None, nonempty=False):
        """softmax(transform_scores(Q K^T scale) + bias).

        Args:
            query: (B, H, T, K); key: (B, G, S, K).
            attend: booleans that broadcast to (B, H, T, S), True where t attends to s, or `None`.
            bias, attention_bias: floats that broadcast to (B, H, T, S), or `None`; the second is
                the caller's, where -inf hides.
            nonempty: whether every query is known to have something to attend to.

        Returns:
            (B, H, T, S). Where nothing may be attended to the weights are zero.
        """
        # With the usual scale a division, whose rounding is that of the papers' formula.
        query = query / math.sqrt(self.key_dim) if self.scale is None else query * self.scale
        scores = self._grouped(query, ops.transpose(key, (0, 1, 3, 2)))
        scores = self.transform_scores(scores)
        if bias is not None:
            scores = scores + ops.cast(bias, scores.dtype)
        if attention_bias is not None:
            attention_bias = ops.convert_to_tensor(attention_bias)
            self._check_bias(attention_bias, scores.shape)
            attention_bias = ops.cast(attention_bias, scores.dtype)
            scores = scores + attention_bias
            shown = attention_bias != -math.inf  # so that a NaN is shown
            attend = shown if attend is None else ops.logical_and(attend, shown)
            nonempty = False
        return masked_softmax(scores, attend, nonempty)

    def _mix(
        self,
        query,
        key,
        value,
        attend,
        biases=(None, None),
        nonempty=False,
        is_causal=False,
        scores=True,
        training=None,
    ):
        """softmax(transform_scores(Q K^T scale) + biases) V.

        Args:
            query, key, value: as `_weights` and `_attend` take them.
            attend, nonempty: see `_weights`.
            biases: `bias` and `attention_bias` of `_weights`.
            is_causal: whether `attend` hides from query t of T at least the keys behind t, of T.
            scores: whether the weights are asked for.
            training: whether dropout is on.

        Returns:
            `(y, weights)`: (B, T, H * width), and (B, H, T, S) or `None`.
        """
        drops = training and self.dropout
        plain = all(b is None for b in biases) and self.key_dim == self.value_dim
        plain = plain and type(self).transform_scores is MultiHeadAttention.transform_scores
        if plain and not scores and not drops and has_fused_attention():
            attend = None if is_causal and nonempty else attend
            # With a mask cuDNN has a gradient for even lengths only, and none for a single step.
            if attend is None or query.shape[2] % 2 == key.shape[2] % 2 == 0:
                return self._fused(query, key, value, attend, nonempty, is_causal), None
        weights = self._weights(query, key, attend, *biases, nonempty)
        return self._attend(weights, value, training), weights

    def _fused(self, query, key, value, attend, nonempty, is_causal):
        """The same by the backend's kernel, which holds no (T, S) scores."""
        if attend is not None:
            batch, time, length = sizes(query)[0], sizes(query)[2], sizes(key)[2]
            attend = ops.broadcast_to(attend, (batch, 1, time, length))
        query, key, value = time_first(query), time_first(key), time_first(value)
        y = ops.dot_product_attention(
            query, key, value, mask=attend, scale=self.scale, is_causal=is_causal
        )
        if attend is not None and not nonempty:
            attends = ops.transpose(ops.any(attend, axis=-1, keepdims=True), (0, 2, 1, 3))
            y = ops.where(attends, y, ops.zeros_like(y))
        batch, time = sizes(y)[:2]
        return ops.reshape(y, (batch, time, self.num_heads * self.value_dim))

    def _check_bias(self, bias, shape):
        if keras.backend.standardize_dtype(bias.dtype) == "bool":
            raise TypeError(
                f"`attention_bias` of `{self.name}` ({type(self).__name__}) is added to the "
                "scores: 0 shows and -inf hides. Received: booleans. Make them such numbers."
            )
        sizes = zip(bias.shape, shape, strict=False)
        fits = len(bias.shape) == 4 and all(a in (1, None) or b in (a, None) for a, b in sizes)
        if not fits:
            raise ValueError(
                f"`attention_bias` of `{self.name}` ({type(self).__name__}) must broadcast to the "
                f"scores (B, H, T, S) = {tuple(shape)}. Received: shape {tuple(bias.shape)}"
            )

    def _attend(self, weights, value, training):
        """Weights (B, H, T, S) and values (B, G, S, width) to y (B, T, H * width)."""
        if training and self.dropout:
            weights = keras.random.dropout(weights, self.dropout, seed=self.seed_generator)
        y = time_first(self._grouped(weights, value))
        batch, time = sizes(y)[:2]
        return ops.reshape(y, (batch, time, self.num_heads * self.value_dim))

    def _output(self, x):
        """Concatenated heads (B, T, H * width) to (B, T, D)."""
        heads, width, features = self.output_kernel.shape
        kernel = matrix(self.output_kernel, (heads * width, features), x.dtype)
        return affine(x, kernel, self.output_bias)

    def _grouped(self, a, b):
        """(B, H, T, I) times (B, G, I, J): (B, H, T, J), b's heads each for its group of a's."""
        heads, groups = self.num_heads, self.num_key_value_heads
        if heads == groups:
            return batch_product(a, b)
        # The queries of a group follow one another on the time axis: b is not repeated.
        batch, _, time, inner = sizes(a)
        a = ops.reshape(a, (batch, groups, heads // groups * time, inner))
        y = batch_product(a, b)
        return ops.reshape(y, (batch, heads, time, sizes(b)[3]))

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "num_key_value_heads": self.num_key_value_heads,
            "dropout": self.dropout,
            "use_bias": self.use_bias if isinstance(self.use_bias, bool) else list(self.use_bias),
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "seed": self.seed,
            "scale": self.scale,
        }


def check_heads(layer, num_heads, groups):
    """Raise unless the heads of queries can share `groups` heads of keys and values."""
    check_positive(layer, num_heads=num_heads, num_key_value_heads=groups)
    if num_heads % groups:
        raise ValueError(
            f"`num_heads` of {layer} must be a multiple of `num_key_value_heads`, so that groups "
            "of equal size share a key. "
            f"Received: num_heads={num_heads}, num_key_value_heads={groups}"
        )


def check_scale(layer, **scales):
    """Raise unless every named scale of the scores is `None` or a positive number."""
    for name, value in scales.items():
        if value is not None and (not is_number(value) or value <= 0):
            raise ValueError(
                f"`{name}` of {layer} is what scores are multiplied by and must be a positive "
                f"number, or None for 1 / sqrt(key_dim). Received: {name}={value!r}"
            )


def checked_use_bias(layer, name, use_bias):
    """`use_bias` as a boolean or a tuple of the projections that have a bias."""
    if isinstance(use_bias, bool):
        return use_bias
    names = tuple(use_bias) if isinstance(use_bias, (list, tuple)) else (use_bias,)
    if not all(projection in PROJECTIONS for projection in names):
        raise ValueError(
            f"`{name}` of {layer} must be True, False, or a list of the projections that have a "
            f"bias, among {PROJECTIONS}. Received: {name}={use_bias!r}"
        )
    return names


def has_fused_attention():
    """Whether the backend has a kernel for attention on the device that it computes on.

    TensorFlow has none. Keras' for TPUs takes attention without a mask to be causal, and the mask
    of a batch's first row for that of all (3.15).
    """
    return keras.backend.backend() in ("jax", "torch") and devices.has_gpu()


def heads_first(x):
    """(B, T, heads, width) to (B, heads, T, width)."""
    if x.shape[1] == 1:  # one step: the same numbers in the same order
        return ops.reshape(x, (sizes(x)[0], x.shape[2], 1, x.shape[3]))
    return ops.transpose(x, (0, 2, 1, 3))


def time_first(x):
    """(B, heads, T, width) to (B, T, heads, width)."""
    if x.shape[2] == 1:
        return ops.reshape(x, (sizes(x)[0], 1, x.shape[1], x.shape[3]))
    return ops.transpose(x, (0, 2, 1, 3))
