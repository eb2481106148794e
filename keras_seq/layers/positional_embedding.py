"""Token embedding plus position (Vaswani et al. 2017, sections 3.4 and 3.5)."""

import math

import keras
import numpy as np
from keras import initializers, ops

from keras_seq.layers.arguments import check_positive, check_rank
from keras_seq.layers.attention_cache import check_room, indices
from keras_seq.layers.sequence_layer import SequenceLayer


def sinusoidal_positions(sequence_length, dim):
    r"""Sines and cosines of each position, in two halves.

        p[t, i]         = sin(t / 10000^(2 i / D))
        p[t, D / 2 + i] = cos(t / 10000^(2 i / D))

    The paper interleaves them (Vaswani et al. 2017, section 3.5); the layout in halves is the same
    up to a fixed permutation of the features.

    Args:
        sequence_length: T.
        dim: D, even.

    Returns:
        (T, D) float32 NumPy array.

    Example:

    ```python
    from keras_seq.layers import sinusoidal_positions

    print(sinusoidal_positions(2, 4))  # [[0, 0, 1, 1], [sin 1, sin 0.01, cos 1, cos 0.01]]
    ```
    """
    t = np.arange(sequence_length, dtype="float64")[:, None]
    angles = t / 10000.0 ** (2 * np.arange(dim // 2)[None] / dim)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1).astype("float32")


@keras.saving.register_keras_serializable(package="keras_seq")
class PositionalEmbedding(SequenceLayer):
    r"""Token embedding, scaled, plus a vector for the position.

        y_t = sqrt(D) E[token_t] + p_t

    (Vaswani et al. 2017, section 3.4 for the scale, 3.5 for p.) Its state is the position, so that
    stepping goes on counting where the called part ended.

    Args:
        vocabulary_size: V, token ids are in [0, V).
        dim: D.
        sequence_length: the largest number of positions.
        kind: `"sinusoidal"` (section 3.5), `"learned"`, or `"none"`.
        mask_zero: whether token 0 is padding; then the layer attaches a mask.
        embeddings_initializer: of the token table; N(0, 1/D) if `None`, which the scale turns into
            unit variance. Learned positions start as N(0, 0.02^2).

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
    print(y.shape)  # (1, 4, 16)
    ```
    """

    kinds = ("sinusoidal", "learned", "none")

    def __init__(
        self,
        vocabulary_size,
        dim,
        sequence_length,
        kind="sinusoidal",
        mask_zero=True,
        embeddings_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive(
            "PositionalEmbedding",
            vocabulary_size=vocabulary_size,
            dim=dim,
            sequence_length=sequence_length,
        )
        if kind not in self.kinds:
            raise ValueError(
                f"`kind` of PositionalEmbedding must be one of {self.kinds}. Received: {kind!r}"
            )
        if kind == "sinusoidal" and dim % 2:
            raise ValueError(
                f"`dim` must be even for sinusoidal positions, half sines, half cosines. "
                f"Received: dim={dim}"
            )
        self.vocabulary_size = vocabulary_size
        self.dim = dim
        self.sequence_length = sequence_length
        self.kind = kind
        self.mask_zero = mask_zero
        self.embeddings_initializer = initializers.get(
            embeddings_initializer or initializers.RandomNormal(stddev=dim**-0.5)
        )
        self.autocast = False  # token ids stay what they are; float16 cannot count beyond 2048

    def build(self, input_shape):
        check_rank("PositionalEmbedding", "tokens", input_shape, 2, "(B, T)")
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.vocabulary_size, self.dim),
            initializer=self.embeddings_initializer,
        )
        self.positions = None
        if self.kind == "learned":
            self.positions = self.add_weight(
                name="positions",
                shape=(self.sequence_length, self.dim),
                initializer=initializers.RandomNormal(stddev=0.02),
            )
        elif self.kind == "sinusoidal":
            self.positions = sinusoidal_positions(self.sequence_length, self.dim)

    def initial_state(self, batch_size, max_length=None):
        """The position, an int32 scalar, at zero.

        Raises:
            ValueError: if `max_length` is beyond `sequence_length`.
        """
        if isinstance(max_length, int) and self.kind != "none":
            self._check_length(max_length)
        return {"position": ops.zeros((), dtype="int32")}

    def call(self, tokens, initial_state=None, return_state=False):
        """Embed.

        Args:
            tokens: (B, T) int ids.
            initial_state: the position of the first token, as `initial_state` gives it.
            return_state: return the state, too.

        Returns:
            (B, T, D) floats, then the state where asked for.
        """
        tokens = ops.cast(tokens, "int32")
        time = ops.shape(tokens)[1]
        y = ops.take(ops.cast(self.embeddings, self.compute_dtype), tokens, axis=0)
        y = y * ops.cast(math.sqrt(self.dim), self.compute_dtype)
        position = 0 if initial_state is None else initial_state["position"]
        if self.positions is not None:
            remedy = f"Build `{self.name}` (PositionalEmbedding) with a larger `sequence_length`."
            check_room(position, tokens.shape[1], self.sequence_length, remedy)
            table = ops.cast(ops.convert_to_tensor(self.positions), self.compute_dtype)
            if initial_state is None:
                y = y + table[:time]
            else:
                y = y + ops.slice(table, indices(position, 0), (time, self.dim))
        if not return_state:
            return y
        return y, {"position": ops.cast(position + time, "int32")}

    def compute_mask(self, inputs, previous_mask):
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_shape(self, tokens_shape):
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
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
        }
