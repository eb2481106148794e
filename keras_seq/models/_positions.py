"""Where the positions of a model live: in the embedding or in the attention."""

from keras_seq.layers import PositionalEmbedding, PositionScheme
from keras_seq.layers.positions._known_schemes import SCHEMES, copied_positions


def position_kinds(model, positions):
    """`(kind of PositionalEmbedding, positions of the self-attention)` for a model's `positions`.

    Raises:
        ValueError: if `positions` is unknown.
    """
    if isinstance(positions, PositionScheme) or positions in tuple(SCHEMES):
        return "none", positions
    if positions in PositionalEmbedding.kinds:
        return positions, None
    raise ValueError(
        f"`positions` of {model} must be one of {(*PositionalEmbedding.kinds, *SCHEMES)}, or a "
        f"PositionScheme. Received: {positions!r}"
    )


def positions_of_blocks(positions, num_layers, shared):
    """The `positions` of each block of a stack: one scheme for all, or a copy for each."""
    if shared:
        return [positions] * num_layers
    return [positions, *(copied_positions(positions) for _ in range(num_layers - 1))]
