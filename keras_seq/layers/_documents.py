"""Documents that share a row: where each begins (`reset`), and how far each step is into its own.

With resets r_t, a document begins at every t with r_t = 1, and at 0:

    number_t = r_0 + ... + r_t
    offset_t = t - max {s <= t: r_s = 1, or s = 0}

Step s <= t is in the document of t where t - s <= offset_t, which needs nothing of step s.
"""

from keras import ops

from keras_seq.layers.sequence_layer import is_mask_of


def checked_reset(layer, reset, x, with_state=False):
    """`reset`, a call argument of `layer`, as booleans (B, T), or `None`.

    Args:
        layer: for the messages.
        reset: (B, T) booleans, or numbers that are zero where False; `None` for none.
        x: (B, T, ...), the layer's input.
        with_state: whether the call begins from a state, or gives one, that cannot be reset.

    Raises:
        ValueError: if `reset` has another shape, as far as both are known, or goes with a state.
    """
    if reset is None:
        return None
    who = f"`reset` of `{layer.name}` ({type(layer).__name__})"
    if with_state:
        raise ValueError(
            f"{who} cannot go with a state, which does not know where the documents of each row "
            "begin. Call the layer on whole rows, without `initial_state` and `return_state`."
        )
    reset = ops.cast(ops.convert_to_tensor(reset), "bool")
    if not is_mask_of(reset, x):
        raise ValueError(
            f"{who} must have shape (B, T) = {tuple(x.shape[:2])}, one value a time step. "
            f"Received shape: {tuple(reset.shape)}"
        )
    return reset


def document_numbers(reset):
    """(B, T) int32: how many documents have begun, each step's own included."""
    return ops.cumsum(ops.cast(reset, "int32"), axis=1)


def document_offsets(reset):
    """(B, T) int32: how many steps each step comes after the first one of its document."""
    time = ops.shape(reset)[1]
    t = ops.arange(time, dtype="int32")
    begins = ops.sort(ops.where(reset, t, time), axis=1)  # those that there are, ascending
    number = document_numbers(reset)
    begin = ops.take_along_axis(begins, ops.maximum(number - 1, 0), axis=1)
    return t - ops.where(number > 0, begin, 0)


def same_document(offsets):
    """(B, 1, T, T) boolean: which steps are in one document, of offsets (B, T)."""
    begin = ops.arange(ops.shape(offsets)[1], dtype="int32") - offsets
    return ops.equal(ops.expand_dims(begin, (1, 3)), ops.expand_dims(begin, (1, 2)))


def by_rows(function, positions, *arrays):
    """`function(*arrays, positions)` of one sequence, for arrays (B, T, ...), positions (B, T).

    What treats each time step by itself may as well have the rows one after another.
    """
    batch, time = ops.shape(positions)[:2]
    rows = [ops.reshape(x, (1, batch * time, *x.shape[2:])) for x in arrays]
    results = function(*rows, ops.reshape(positions, (batch * time,)))
    several = isinstance(results, tuple)
    results = [
        ops.reshape(y, (batch, time, *y.shape[2:])) for y in (results if several else (results,))
    ]
    return tuple(results) if several else results[0]
