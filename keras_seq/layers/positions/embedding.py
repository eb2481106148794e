"""Token embedding plus position (Vaswani et al. 2017, sections 3.4 and 3.5)."""

import math
import numbers

import keras
import numpy as np
from keras import initializers, ops

from keras_seq.layers._arguments import check_positive, check_rank
from keras_seq.layers._documents import checked_reset, document_offsets
from keras_seq.layers._keras_private import set_mask
from keras_seq.layers._padded_chunk import steps_in
from keras_seq.layers._room import check_room
from keras_seq.layers.sequence_layer import SequenceLayer


def sinusoidal_positions(sequence_length, dim, layout="halves"):
    r"""Sines and cosines of each position (Vaswani et al. 2017, section 3.5).

    With the layout of the paper, `"interleaved"`,

        p[t, 2 i]       = sin(t / 10000^(2 i / D))
        p[t, 2 i + 1]   = cos(t / 10000^(2 i / D))

    and in two `"halves"`, which is the same up to a fixed permutation of the features,

        p[t, i]         = sin(t / 10000^(2 i / D))
        p[t, D / 2 + i] = cos(t / 10000^(2 i / D))

    Args:
        sequence_length: T.
        dim: D, even.
        layout: `"halves"` or `"interleaved"`.

    Returns:
        (T, D) float32 NumPy array.

    Raises:
        ValueError: if a size is below 1, `dim` is odd, or `layout` is unknown.

    Example:

    ```python
    from keras_seq.layers import sinusoidal_positions

    print(sinusoidal_positions(2, 4))  # [[0, 0, 1, 1], [sin 1, sin 0.01, cos 1, cos 0.01]]
    print(sinusoidal_positions(2, 4, "interleaved"))  # [.., [sin 1, cos 1, sin 0.01, cos 0.01]]
    ```
    """
    check_positive("sinusoidal_positions", sequence_length=sequence_length, dim=dim)
    _check_even(dim)
    if layout not in ("halves", "interleaved"):
        raise ValueError(
            "`layout` of sinusoidal_positions must be 'halves' or 'interleaved'. "
            f"Received: {layout!r}"
        )
    t = np.arange(sequence_length, dtype="float64")[:, None]
    angles = t / 10000.0 ** (2 * np.arange(dim // 2)[None] / dim)  # (T, D / 2)
    sines_and_cosines = np.stack([np.sin(angles), np.cos(angles)], axis=1)  # (T, 2, D / 2)
    if layout == "interleaved":
        sines_and_cosines = sines_and_cosines.transpose(0, 2, 1)  # (T, D / 2, 2)
    return sines_and_cosines.reshape(sequence_length, dim).astype("float32")


def _check_even(dim):
    if dim % 2:
        raise ValueError(
            "`dim` must be even for sinusoidal positions, half sines, half cosines. "
            f"Received: dim={dim}"
        )


def check_padding_id(layer, vocabulary_size, **ids):
    """Raise unless every named id is one of the V ids."""
    for name, value in ids.items():
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not whole or not 0 <= value < vocabulary_size:
            raise ValueError(
                f"`{name}` of {layer} must be a token id in [0, {vocabulary_size}). "
                f"Received: {name}={value!r}"
            )


def check_offset(layer, offset):
    """Raise unless the rows before the first position are an int of at least 0."""
    whole = isinstance(offset, numbers.Integral) and not isinstance(offset, bool)
    if not whole or offset < 0:
        raise ValueError(
            f"`position_offset` of {layer} must be an int of at least 0. "
            f"Received: position_offset={offset!r}"
        )


def position_vectors(layer, table, x, state, reset=None):
    """(T, D): the rows of a layer's table for the T steps of x, from the state's position on.

    Args:
        layer: with `sequence_length` and `position_offset`.
        table: (position_offset + sequence_length, D).
        x: (B, T) or (B, T, D).
        state: dict of `position`, or `None` for the start.
        reset: (B, T) boolean, True where positions begin again at zero; they are (B, T, D) then.
    """
    hint = f"Build `{layer.name}` ({type(layer).__name__}) with a larger `sequence_length`."
    table = ops.convert_to_tensor(table)
    first, time = layer.position_offset, ops.shape(x)[1]
    if reset is not None:
        return _vectors_of_documents(layer, table, document_offsets(reset), hint)
    position = 0 if state is None else state["position"]
    check_room(position, x.shape[1], layer.sequence_length, hint)
    if state is None:
        rows = table[first : first + time]
    else:  # no slice: XLA would take the position for a constant, and compile for each one
        rows = ops.take(table, position + ops.arange(first, first + time, dtype="int32"), axis=0)
    return ops.cast(rows, layer.compute_dtype)


def _vectors_of_documents(layer, table, offsets, hint):
    """(B, T, D): the rows of the table for steps that are `offsets` (B, T) into their documents.

    A row may be longer than the table, its documents may not. Where their lengths are known only
    when a graph runs, what is beyond the table is NaN, so that the loss shows it.
    """
    length = layer.sequence_length
    rows = ops.take(table, layer.position_offset + ops.minimum(offsets, length - 1), axis=0)
    rows = ops.cast(rows, layer.compute_dtype)
    if offsets.shape[1] is not None and offsets.shape[1] <= length:
        return rows
    check_room(ops.max(offsets), 1, length, f"A document is longer than that. {hint}")
    beyond = ops.expand_dims(offsets >= length, -1)
    return ops.where(beyond, ops.cast(math.nan, rows.dtype), rows)


@keras.saving.register_keras_serializable(package="keras_seq")
class PositionalEmbedding(SequenceLayer):
    r"""Token embedding, scaled, plus a vector for the position; and back, to logits.

        y_t = sqrt(D) E[token_t] + p_t

    (Vaswani et al. 2017, section 3.4 for the scale, 3.5 for p.) Its state is the position, so that
    stepping goes on counting where the called part ended.

    Called with `reverse=True` it is the output layer of a language model whose weights are tied to
    the embedding (section 3.4; Press & Wolf 2017), as in `keras.layers.ReversibleEmbedding`:

        logits_t = x_t E^T + c

    Args:
        vocabulary_size: V, token ids are in [0, V).
        dim: D.
        sequence_length: the largest number of positions; needed unless `kind` is `"none"`.
        kind: `"sinusoidal"`, sines and cosines in two halves, `"interleaved"`, the same in the
            paper's layout (see `sinusoidal_positions`), `"learned"`, or `"none"`.
        mask_zero: whether `padding_id` is padding; then the layer attaches a mask.
        scale_embeddings: whether the token's vector is scaled by sqrt(D); GPT-2 does not.
        embeddings_initializer: of the token table; N(0, 1/D) if `None`, which the scale turns into
            unit variance. Learned positions start as N(0, 0.02^2).
        padding_id: the id of padding, 0 by default. BART has 1, Marian V - 1.
        position_offset: what the first position is counted as, so that the table of positions has
            `sequence_length + position_offset` rows. BART has 2.
        use_reverse_bias: whether the logits have a bias c, a weight that starts at zero.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if a size is out of range, `dim` is odd with sinusoidal positions, `kind` is
            unknown, or a sequence is longer than `sequence_length`.

    Example:

    ```python
    import numpy as np
    import keras_seq

    layer = keras_seq.layers.PositionalEmbedding(vocabulary_size=100, dim=16, sequence_length=32)
    y = layer(np.array([[5, 6, 7, 0]]))
    logits = layer(y, reverse=True)
    print(y.shape, logits.shape)  # (1, 4, 16) (1, 4, 100)
    ```
    """

    can_reset_state = False
    kinds = ("sinusoidal", "interleaved", "learned", "none")

    def __init__(
        self,
        vocabulary_size,
        dim,
        sequence_length=None,
        kind="sinusoidal",
        mask_zero=True,
        scale_embeddings=True,
        embeddings_initializer=None,
        padding_id=0,
        position_offset=0,
        use_reverse_bias=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive("PositionalEmbedding", vocabulary_size=vocabulary_size, dim=dim)
        if kind not in self.kinds:
            raise ValueError(
                f"`kind` of PositionalEmbedding must be one of {self.kinds}. Received: {kind!r}"
            )
        if sequence_length is not None or kind != "none":
            check_positive("PositionalEmbedding", sequence_length=sequence_length)
        if kind in ("sinusoidal", "interleaved"):
            _check_even(dim)
        check_padding_id("PositionalEmbedding", vocabulary_size, padding_id=padding_id)
        check_offset("PositionalEmbedding", position_offset)
        self.vocabulary_size = vocabulary_size
        self.dim = dim
        self.sequence_length = sequence_length
        self.kind = kind
        self.mask_zero = mask_zero
        self.scale_embeddings = scale_embeddings
        self.embeddings_initializer = initializers.get(
            embeddings_initializer or initializers.RandomNormal(stddev=dim**-0.5)
        )
        self.padding_id = padding_id
        self.position_offset = position_offset
        self.use_reverse_bias = use_reverse_bias
        self.autocast = False  # token ids stay what they are; float16 cannot count beyond 2048

    def build(self, input_shape):
        check_rank("PositionalEmbedding", "tokens", input_shape, 2, "(B, T)")
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.vocabulary_size, self.dim),
            initializer=self.embeddings_initializer,
        )
        self.reverse_bias = None
        if self.use_reverse_bias:
            self.reverse_bias = self.add_weight(
                name="reverse_bias", shape=(self.vocabulary_size,), initializer="zeros"
            )
        self.positions = None
        if self.kind == "learned":
            self.positions = self.add_weight(
                name="positions",
                shape=(self.sequence_length + self.position_offset, self.dim),
                initializer=initializers.RandomNormal(stddev=0.02),
            )
        elif self.kind != "none":
            layout = "halves" if self.kind == "sinusoidal" else "interleaved"
            rows = self.sequence_length + self.position_offset
            self.positions = sinusoidal_positions(rows, self.dim, layout)

    def get_initial_state(self, batch_size, max_length=None):
        """The position, an int32 scalar, at zero.

        Raises:
            ValueError: if `max_length` is beyond `sequence_length`.
        """
        if isinstance(max_length, int) and self.kind != "none":
            self._check_length(max_length)
        return {"position": ops.zeros((), dtype="int32")}

    def call(
        self,
        tokens,
        initial_state=None,
        return_state=False,
        reverse=False,
        mask_padding=False,
        reset=None,
    ):
        """Embed tokens, or with `reverse` say which tokens the features mean.

        Args:
            tokens: (B, T) int ids; with `reverse`, (B, T, D) floats.
            initial_state: the position of the first token, as `get_initial_state` gives it.
            return_state: return the state, too; `reverse` hands it on as it is.
            reverse: give logits, `x E^T`. The layer must have embedded tokens before.
            mask_padding: attach the mask in this call, also without `mask_zero`; so can one
                embedding serve two sequences of which one has no padding.
            reset: (B, T) boolean, True where a document begins and positions begin again. Not with
                a state; `reverse`, which knows no positions, ignores it.

        Returns:
            (B, T, D) floats, or with `reverse` logits (B, T, V); then the state where asked for.
        """
        state = self.get_initial_state(None) if initial_state is None else initial_state
        if reverse:
            check_rank("PositionalEmbedding", "tokens", tokens.shape, 3, "(B, T, D) to reverse")
            logits = self._logits(ops.cast(tokens, self.compute_dtype))
            return (logits, state) if return_state else logits
        reset = checked_reset(self, reset, tokens, return_state or initial_state is not None)
        y = ops.take(self.embeddings, ops.cast(tokens, "int32"), axis=0)
        y = ops.cast(y, self.compute_dtype)  # of the rows taken alone
        if self.scale_embeddings:
            y = y * ops.cast(math.sqrt(self.dim), self.compute_dtype)
        if self.positions is not None:
            y = y + position_vectors(self, self.positions, tokens, initial_state, reset)
        if mask_padding:
            set_mask(y, ops.not_equal(tokens, self.padding_id))
        if not return_state:
            return y
        return y, {"position": ops.cast(state["position"] + steps_in(tokens), "int32")}

    def _logits(self, x):
        """(B, T, D) to (B, T, V)."""
        logits = ops.matmul(x, ops.transpose(ops.cast(self.embeddings, x.dtype)))
        if self.reverse_bias is None:
            return logits
        return logits + ops.cast(self.reverse_bias, x.dtype)

    def compute_mask(self, inputs, previous_mask):
        if len(inputs.shape) == 3:  # reversed
            return previous_mask
        return ops.not_equal(inputs, self.padding_id) if self.mask_zero else None

    def compute_output_shape(self, tokens_shape):
        if len(tokens_shape) == 3:  # reversed
            return (*tokens_shape[:-1], self.vocabulary_size)
        return (*tokens_shape, self.dim)

    def _check_length(self, length):
        if length > self.sequence_length:
            raise ValueError(
                f"`{self.name}` (PositionalEmbedding) has {self.sequence_length} positions. "
                f"Received: max_length={length}. Build it with a larger `sequence_length`."
            )

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "dim": self.dim,
            "sequence_length": self.sequence_length,
            "kind": self.kind,
            "mask_zero": self.mask_zero,
            "scale_embeddings": self.scale_embeddings,
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
            "padding_id": self.padding_id,
            "position_offset": self.position_offset,
            "use_reverse_bias": self.use_reverse_bias,
        }
