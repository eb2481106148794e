"""Masks of attention: which positions may be looked at."""

from keras_seq.layers.sequence_layer import implicit_mask, marks_positions


def checked_mask(layer, name, x, mask, meaning="(B, T)"):
    """`implicit_mask(x, mask)`, as long as `x`: a longer one would mark what is not written yet.

    Args:
        layer: whose call argument it is.
        name: of the argument.
        x: (B, T, ...), what the mask is of.
        mask: (B, T), or `None`.
        meaning: of the shape, for the message.

    Raises:
        ValueError: if the mask has another shape, as far as both are known.
    """
    mask = implicit_mask(x, mask)
    if mask is not None and not marks_positions(mask, x):
        raise ValueError(
            f"`{name}` of `{layer.name}` ({type(layer).__name__}) must have shape {meaning} = "
            f"{tuple(x.shape[:2])}, one mark for each of the positions that are passed with it. "
            f"Received: shape {tuple(mask.shape)}"
        )
    return mask
