"""Where the positions of a model live: in the embedding or in the attention."""

from keras_seq.layers import PositionalEmbedding

IN_ATTENTION = ("rotary", "alibi")


def position_kinds(model, positions):
    """`(kind of PositionalEmbedding, positions of the self-attention)` for a model's `positions`.

    Raises:
        ValueError: if `positions` is unknown.
    """
    if positions in IN_ATTENTION:
        return "none", positions
    if positions in PositionalEmbedding.kinds:
        return positions, None
    raise ValueError(
        f"`positions` of {model} must be one of {(*PositionalEmbedding.kinds, *IN_ATTENTION)}. "
        f"Received: {positions!r}"
    )
