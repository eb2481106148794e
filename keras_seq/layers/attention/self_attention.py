"""Multi-head self-attention (Vaswani et al. 2017, section 3.2)."""

import keras
from keras import ops

from keras_seq.layers._affine import sizes
from keras_seq.layers._arguments import check_positive, check_rank
from keras_seq.layers._documents import by_rows, checked_reset, document_offsets, same_document
from keras_seq.layers._padded_chunk import steps_in
from keras_seq.layers._room import check_room
from keras_seq.layers.attention._cache import append, check_state, empty_cache
from keras_seq.layers.attention._masking import checked_mask, move_nan_to_key
from keras_seq.layers.attention._multi_head import MultiHeadAttention, heads_first
from keras_seq.layers.attention._window import (
    after_chunk,
    age,
    before_chunk,
    distance_in_chunk,
    from_blocks,
    in_blocks,
    nothing_before,
    ring_step,
)
from keras_seq.layers.positions._known_schemes import (
    SCHEMES,
    build_scheme,
    checked_positions,
    serialized_positions,
)


@keras.saving.register_keras_serializable(package="keras_seq")
class MultiHeadSelfAttention(MultiHeadAttention):
    r"""A sequence attends to itself (Vaswani et al. 2017, sections 3.2.1 and 3.2.2).

        Q, K, V = x W_Q, x W_K, x W_V                     # for each head
        head    = softmax(Q K^T / sqrt(key_dim)) V
        y       = concat(heads) W_O

    With `causal=True` position t attends to positions up to t, and the layer can be stepped: its
    state holds the keys and values of all past positions (the KV cache), or of the last
    `sliding_window` ones, however long the sequence. Weights are laid out as in
    `keras.layers.MultiHeadAttention` (`GroupQueryAttention` with `num_key_value_heads`), so
    `set_weights` works both ways.

    A variant is a subclass that overrides `transform_query` or `transform_key` (normalized queries
    and keys) or `transform_scores` (capped scores); it keeps the cache, the sliding window and the
    positions. See docs/extending/attention.md.

    Args:
        num_heads: H.
        key_dim: K, width of each head's queries and keys.
        value_dim: width of each head's values; `key_dim` if `None`.
        causal: whether a position attends only to itself and earlier ones.
        num_key_value_heads: G, heads of keys and values; groups of H / G heads of queries share one
            (Ainslie et al. 2023, section 2.2), which makes the cache H / G times smaller. H if
            `None`; 1 is multi-query attention.
        sliding_window: W; position t attends to the W positions up to t, itself included (Beltagy
            et al. 2020, section 3.1). Time and memory of a long call grow with T W. Needs
            `causal=True`.
        positions: how scores know of positions: `None`, `"rotary"` (queries and keys are rotated),
            `"alibi"` (a penalty on distance), or any `PositionScheme`, such as
            `RotaryEmbedding(500000.0)`. A position is a count of time steps, masked ones included.
        dropout: fraction of the attention weights to drop in training.
        use_bias: whether the projections have biases, or a list of those that have one, among
            `"query"`, `"key"`, `"value"` and `"output"` (Qwen2 has the first three).
        kernel_initializer, bias_initializer: of the projections.
        seed: of the dropout.
        scale: what scores are multiplied by; 1 / sqrt(key_dim) if `None`. T5 has 1.0.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if a size or rate is out of range, `num_heads` is no multiple of
            `num_key_value_heads`, `sliding_window` is given without `causal`, `positions` is
            unknown, `key_dim` is odd with rotary positions, or the state has too little room.

    Example:

    ```python
    import numpy as np
    import keras_seq

    x = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")
    layer = keras_seq.layers.MultiHeadSelfAttention(num_heads=2, key_dim=4, causal=True)
    whole = layer(x)
    state = layer.get_initial_state(batch_size=2, max_length=6)
    first, state = layer(x[:, :4], initial_state=state, return_state=True)
    fifth, state = layer.step(x[:, 4:5], state)
    np.testing.assert_allclose(fifth[:, 0], whole[:, 4], atol=1e-5)
    ```
    """

    can_reset_state = False

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        causal=False,
        num_key_value_heads=None,
        sliding_window=None,
        positions=None,
        **kwargs,
    ):
        super().__init__(
            num_heads, key_dim, value_dim, num_key_value_heads=num_key_value_heads, **kwargs
        )
        self.causal = causal
        self.sliding_window = sliding_window
        check_window("MultiHeadSelfAttention", sliding_window, causal)
        self.positions = checked_positions("MultiHeadSelfAttention", positions)
        self.position_scheme = self.positions
        if isinstance(positions, str):
            self.position_scheme = SCHEMES[positions](dtype=self.dtype_policy, name=positions)

    def build(self, input_shape):
        check_rank("MultiHeadSelfAttention", "x", input_shape, 3, "(B, T, D)")
        self._build_projections(input_shape[-1], input_shape[-1])
        if self.position_scheme is not None:
            query_shape = (*input_shape[:2], self.num_heads, self.key_dim)
            build_scheme(self.position_scheme, query_shape)

    def get_initial_state(self, batch_size, max_length=None):
        """An empty KV cache.

        Args:
            batch_size: B, an int or a scalar tensor.
            max_length: how many time steps the cache must hold.

        Returns:
            Dict of tensors, see `empty_cache`, with room for L
            positions: `max_length`, or `sliding_window` where that is less.

        Raises:
            ValueError: if the layer is not causal or `max_length` is missing.
        """
        self._check_causal()
        if max_length is None:
            raise ValueError(
                f"`max_length` of `get_initial_state` of `{self.name}` (MultiHeadSelfAttention) "
                "must be the number of time steps that the cache has to hold. Received: None"
            )
        if self.built:
            self._hoist_kernels()
        length = max_length
        if self.sliding_window is not None:
            known = isinstance(max_length, int)
            length = min(max_length, self.sliding_window) if known else self.sliding_window
        return empty_cache(
            batch_size,
            self.num_key_value_heads,
            length,
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
        attention_bias=None,
        training=None,
        reset=None,
    ):
        """Attend.

        Args:
            x: (B, T, D) floats.
            mask: (B, T) boolean, False for positions that nobody may attend to.
            initial_state: a KV cache; the T positions follow those it holds (causal only).
            return_state: return the state, too. Without `initial_state` it has no room left.
            return_attention_scores: return the attention weights, too: (B, H, T, S). The S keys are
                the T positions; with a state the L places of the cache after the call; of a
                sliding window and T > 1 what the state held, oldest first, and the T positions.
            attention_bias: floats that broadcast to (B, H, T, S), added to the scores before the
                softmax; -inf hides. For a step it is that step's bias over the cache, (B, H, 1, L).
                With a sliding window not together with a state, whose places move.
            training: whether dropout is on.
            reset: (B, T) boolean, True where a document begins: a position attends to those of its
                own document, and counts from its start. Not with a state.

        Returns:
            y of shape (B, T, D), then the scores and the state where asked for.

        Raises:
            ValueError: if the layer is not causal and a state is given or asked for, if the state
                has too little room or other rows than x, for a `mask`, `reset` or `attention_bias`
                of another shape, or for a `reset` with a state.
        """
        mask = checked_mask(self, "mask", x, mask)
        reset = checked_reset(self, reset, x, return_state or initial_state is not None)
        offsets = None if reset is None else document_offsets(reset)
        batch, time = sizes(x)[:2]
        if return_state and initial_state is None:
            initial_state = self.get_initial_state(batch, max_length=time)
        if initial_state is not None:
            self._check_causal()
            self._check_bias_goes_with_state(attention_bias)
            check_state(self, x, initial_state)
        query, key, value = self._query(x), self._key(x), self._value(x)
        if self.position_scheme is not None:
            transform = self.position_scheme.transform
            positions = ops.arange(time, dtype="int32")
            if initial_state is not None:
                positions = initial_state["position"] + positions
            if offsets is None:
                query, key = transform(query, key, positions)
            else:
                query, key = by_rows(transform, offsets, query, key)
        key, value = move_nan_to_key(key, value)
        explicit = return_attention_scores or attention_bias is not None
        blocks = self._goes_in_blocks(x.shape[1], initial_state, explicit)
        if self.sliding_window is not None and (blocks or initial_state is not None):
            select = self._attend_through_window
        else:
            select = self._attend_everywhere
        query, key, value, attend, distance, state = select(
            query, key, value, mask, initial_state, blocks, offsets
        )
        bias = None
        if self.position_scheme is not None:
            bias = self.position_scheme.bias(distance, self.num_heads)
        whole = initial_state is None and self.sliding_window is None and reset is None
        # Without masks a position attends to itself at least.
        nonempty = (self.causal or reset is not None) and mask is None
        y, weights = self._mix(
            query,
            key,
            value,
            attend,
            (bias, attention_bias),
            nonempty,
            is_causal=self.causal and whole,
            scores=return_attention_scores,
            training=training,
        )
        if blocks:
            y = from_blocks(y, batch, time)
        returns = (self._output(y),)
        if return_attention_scores:
            returns += (weights,)
        if return_state:
            returns += (state,)
        return returns if len(returns) > 1 else returns[0]

    def _attend_everywhere(self, query, key, value, mask, state, blocks, offsets):
        """Who attends to whom in the sequence itself, or in the cache.

        Returns:
            `(query, key, value, attend, distance, state)`: (B, H, T, K), twice (B, G, S, K),
            booleans that broadcast to (B, H, T, S), (T, S) int32 and the new state.
        """
        steps = steps_in(key)
        query, key, value = heads_first(query), heads_first(key), heads_first(value)
        t = ops.arange(sizes(query)[2], dtype="int32")
        if state is not None:
            t = state["position"] + t
            state, attend = append(state, key, value, mask, steps)
            key, value = state["key"], state["value"]
        s = ops.arange(sizes(key)[2], dtype="int32")
        distance = ops.expand_dims(t, 1) - s
        if state is None:
            attend = None if mask is None else ops.expand_dims(mask, (1, 2))
            if self.causal:
                attend = self._near(distance, attend, offsets)
            elif offsets is not None:
                same = same_document(offsets)
                attend = same if attend is None else ops.logical_and(attend, same)
        return query, key, value, attend, distance, state

    def _attend_through_window(self, query, key, value, mask, state, blocks, offsets):
        """The same where only the last W positions are visible: see `sliding_window`."""
        length = self.sliding_window if state is None else state["key"].shape[2]
        steps = steps_in(key)
        if state is not None:
            if length < self.sliding_window:  # nothing may be forgotten yet
                check_room(state["position"], key.shape[1], length)
            if isinstance(steps, int) and steps == 1:
                distance = age(state["position"], length)
                state, attend = ring_step(state, heads_first(key), heads_first(value), mask)
                return heads_first(query), state["key"], state["value"], attend, distance, state
        if mask is None:
            mask = ops.ones_like(key[:, :, 0, 0], dtype="bool")
        before = nothing_before(key, value, length) if state is None else before_chunk(state)
        time, chunk = sizes(key)[1], (key, value, mask)
        sequence = [ops.concatenate(pair, axis=1) for pair in zip(before, chunk, strict=True)]
        if state is not None:
            state = after_chunk(state, sequence, steps)
        if blocks:
            time = self.sliding_window
            query, sequence, offsets = in_blocks(query, sequence, time, offsets)
        distance = distance_in_chunk(time, length)
        key, value, valid = sequence
        attend = self._near(distance, ops.expand_dims(valid, (1, 2)), offsets)
        return heads_first(query), heads_first(key), heads_first(value), attend, distance, state

    def _near(self, distance, attend, offsets=None):
        """`attend` less what is ahead, before the window, or before the query's document."""
        near = distance >= 0
        if self.sliding_window is not None:
            near = ops.logical_and(near, distance < self.sliding_window)
        if offsets is not None:
            near = ops.logical_and(near, distance <= ops.expand_dims(offsets, (1, 3)))
        return near if attend is None else ops.logical_and(attend, near)

    def _goes_in_blocks(self, time, state, explicit):
        """Whether blocks of W queries save anything: of time, or of unknown scores to show."""
        window = self.sliding_window
        if window is None or explicit:
            return False
        if state is None:
            return time is None or time > 2 * window
        return state["key"].shape[2] == window and (time is None or time > window)

    def _check_bias_goes_with_state(self, attention_bias):
        if attention_bias is not None and self.sliding_window is not None:
            raise ValueError(
                f"`attention_bias` of `{self.name}` (MultiHeadSelfAttention) cannot go with a "
                "state: the places of a sliding window's cache belong to other positions at each "
                "step. Call the layer on the whole sequence, or use `positions`."
            )

    def compute_output_shape(self, x_shape):
        return tuple(x_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "causal": self.causal,
            "sliding_window": self.sliding_window,
            "positions": serialized_positions(self.positions),
        }


def check_window(layer, sliding_window, causal):
    """Raise unless `sliding_window` is `None`, or a size and the attention causal."""
    if sliding_window is None:
        return
    check_positive(layer, sliding_window=sliding_window)
    if not causal:
        raise ValueError(
            f"`sliding_window` of {layer} counts back from each position and needs `causal=True`. "
            f"Received: sliding_window={sliding_window}, causal=False"
        )
