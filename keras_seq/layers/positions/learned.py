"""Learned position vectors of their own, apart from an embedding."""

import keras
from keras import initializers, ops

from keras_seq.layers._arguments import check_positive, check_rank
from keras_seq.layers._documents import checked_reset
from keras_seq.layers._padded_chunk import steps_in
from keras_seq.layers.positions.embedding import check_offset, position_vectors
from keras_seq.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_seq")
class LearnedPositions(SequenceLayer):
    r"""Adds a learned vector for the position to each time step (Gehring et al. 2017, section 3.1).

        y_t = x_t + p[t + position_offset]

    `PositionalEmbedding(kind="learned")` does so after its tokens. This layer is for features, and
    for two sequences that share an embedding but not their positions, as in BART.

    Args:
        sequence_length: the largest number of positions.
        position_offset: rows of the table before the one of the first time step.
        initializer: of p; N(0, 0.02^2) if `None`.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if a size is out of range, or a sequence is longer than `sequence_length`.

    Example:

    ```python
    import numpy as np
    import keras_seq

    layer = keras_seq.layers.LearnedPositions(sequence_length=32)
    print(layer(np.ones((2, 5, 8), "float32")).shape)  # (2, 5, 8)
    ```
    """

    can_reset_state = False

    def __init__(self, sequence_length, position_offset=0, initializer=None, **kwargs):
        super().__init__(**kwargs)
        check_positive("LearnedPositions", sequence_length=sequence_length)
        check_offset("LearnedPositions", position_offset)
        self.sequence_length = sequence_length
        self.position_offset = position_offset
        self.initializer = initializers.get(initializer or initializers.RandomNormal(stddev=0.02))

    def build(self, input_shape):
        check_rank("LearnedPositions", "x", input_shape, 3, "(B, T, D)")
        self.positions = self.add_weight(
            name="positions",
            shape=(self.sequence_length + self.position_offset, input_shape[-1]),
            initializer=self.initializer,
        )

    def get_initial_state(self, batch_size, max_length=None):
        """The position, an int32 scalar, at zero."""
        return {"position": ops.zeros((), dtype="int32")}

    def call(self, x, initial_state=None, return_state=False, reset=None):
        """Add the positions.

        Args:
            x: (B, T, D) floats.
            initial_state: the position of the first time step, as `get_initial_state` gives it.
            return_state: return the state, too.
            reset: (B, T) boolean, True where a document begins and positions begin again. Not with
                a state.

        Returns:
            (B, T, D) floats, then the state where asked for.
        """
        reset = checked_reset(self, reset, x, return_state or initial_state is not None)
        y = x + position_vectors(self, self.positions, x, initial_state, reset)
        if not return_state:
            return y
        position = 0 if initial_state is None else initial_state["position"]
        return y, {"position": ops.cast(position + steps_in(x), "int32")}

    def compute_output_shape(self, x_shape):
        return tuple(x_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "sequence_length": self.sequence_length,
            "position_offset": self.position_offset,
            "initializer": initializers.serialize(self.initializer),
        }
