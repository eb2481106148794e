"""What the call arguments of a recurrent layer are made into: masks and states, checked."""

import keras
from keras import ops

from keras_seq.layers.sequence_layer import implicit_mask


def standardize_mask(layer, name, mask, x):
    """A mask as booleans (B, T), checked against x; `None` stays `None`.

    Numbers are taken as Keras takes them, False where they are zero.
    """
    if mask is None:
        return None
    mask = ops.cast(ops.convert_to_tensor(mask), "bool")
    shape, expected = tuple(mask.shape), tuple(x.shape[:2])
    pairs = zip(shape, expected, strict=False)
    if len(shape) != 2 or any(a != b for a, b in pairs if None not in (a, b)):
        raise ValueError(
            f"`{name}` of {type(layer).__name__} `{layer.name}` must have shape (B, T) = "
            f"{expected}, one value a time step. Received shape: {shape}"
        )
    return mask


def mask_of(layer, mask, x):
    """The mask that is given, or else the one that travels with x."""
    mask = implicit_mask(x, None) if mask is None else mask
    return standardize_mask(layer, "mask", mask, x)


def standardize_state(layer, initial_state, template, names, batch_size):
    """A given state in the structure of the layer's own, checked; one row stands for all rows.

    Args:
        layer: an `RNN`, for the message.
        initial_state: a nest of (B, ...) tensors, or a tensor where the state has one part.
        template: a state of the layer.
        names: names of its parts, flat.
        batch_size: B, an int or a scalar tensor.
    """
    if not isinstance(initial_state, (list, tuple)):
        initial_state = [initial_state]
    flat, own = keras.tree.flatten(initial_state), keras.tree.flatten(template)
    parts = [None if p is None else ops.convert_to_tensor(p) for p in flat]
    shapes = [None if part is None else tuple(part.shape) for part in parts]
    fits = len(parts) == len(own) and _same_nesting(initial_state, template)
    if not fits or not all(_fits(s, p.shape[1:]) for s, p in zip(shapes, own, strict=True)):
        widths = {tuple(part.shape[1:]) for part in own}
        each = (
            f", each of shape {_with_batch(*widths)}"
            if len(widths) == 1
            else f" of shapes {[_with_batch(tuple(part.shape[1:])) for part in own]}"
        )
        raise ValueError(
            f"`initial_state` of {type(layer).__name__} `{layer.name}` must be "
            f"[{', '.join(names)}]{each}. Received shapes: {shapes}"
        )
    state = []
    for part, shape, like in zip(parts, shapes, own, strict=True):
        part = ops.cast(part, like.dtype)
        inner = tuple(like.shape[1:])
        one_row = len(shape) == len(inner) or shape[0] == 1
        if one_row and not (isinstance(batch_size, int) and shape == (batch_size, *inner)):
            part = ops.broadcast_to(part, (batch_size, *inner))
        state.append(part)
    return keras.tree.pack_sequence_as(template, state)


def check_rows(layer, state, x, stateful):
    """Raise unless a state has as many rows as x; `stateful` if it is the layer's own."""
    parts = [] if state is None else keras.tree.flatten(state)
    rows = {part.shape[0] for part in parts} - {None}
    if x.shape[0] is None or rows <= {x.shape[0]}:
        return
    who = f"{type(layer).__name__} `{layer.name}`"
    if stateful:
        raise ValueError(
            f"{who} is stateful and was built for a batch size of {min(rows)}. Received: "
            f"sequences of shape {tuple(x.shape)}. Give it batches of that size, or an "
            "`initial_state`."
        )
    raise ValueError(
        f"`initial_state` of {who} must have as many rows as sequences, {x.shape[0]}. Received "
        f"shapes: {[tuple(part.shape) for part in parts]}"
    )


def _same_nesting(given, template):
    """Whether lists stand where lists should; lists and tuples are the same."""
    if not isinstance(template, (list, tuple)):
        return not isinstance(given, (list, tuple, dict))
    return (
        isinstance(given, (list, tuple))
        and len(given) == len(template)
        and all(map(_same_nesting, given, template))
    )


def _fits(shape, inner):
    """Whether a part's shape is (B, *inner) or inner alone."""
    inner = tuple(inner)
    if shape is None:
        return False
    return shape == inner or (len(shape) == len(inner) + 1 and shape[1:] == inner)


def _with_batch(inner):
    return f"({', '.join(['B', *map(str, inner)])})"
