"""What the package knows of a cell: Keras' protocol, and nothing else.

A cell has `call(x_t, states) -> (output, new_states)` and `state_size`, an int or a list of ints
(of lists, in a stack). It may have `output_size`, `get_initial_state(batch_size)`, a `training`
argument of `call`, and, for dropout with one mask for all time steps, `get_dropout_mask` and
`get_recurrent_dropout_mask` with their `reset_...`, as Keras' own cells have.
"""

import contextlib
import inspect

import keras
from keras import ops


def check_cell(layer, cell):
    """Raise unless `cell` has what every cell has."""
    for member in ("call", "state_size"):
        if not hasattr(cell, member):
            raise ValueError(
                f"`cell` of {layer} must have a `{member}`: a cell is an object with "
                "`call(x_t, states)` and `state_size`, such as keras_seq.layers.LSTMCell(units) or "
                f"any Keras cell. Received: cell={cell!r}"
            )
    sizes = keras.tree.flatten(cell.state_size)
    if not all(isinstance(size, int) for size in sizes):
        raise ValueError(
            f"`state_size` of the cell of {layer} must be an int, or a list of ints, one for each "
            f"part of the state. Received: state_size={cell.state_size!r}"
        )


def output_size(cell):
    """Features of the cell's output."""
    size = getattr(cell, "output_size", None)
    return keras.tree.flatten(cell.state_size)[0] if size is None else size


def get_initial_state(cell, batch_size, dtype):
    """The cell's state before the first step, a list; zeros where the cell does not say."""
    make = getattr(cell, "get_initial_state", None)
    if make is None:
        state = keras.tree.map_structure(
            lambda size: ops.zeros((batch_size, size), dtype=dtype), cell.state_size
        )
    else:
        state = make(batch_size=batch_size)
    state = list(state) if isinstance(state, (list, tuple)) else [state]
    return keras.tree.map_structure(lambda part: _in_dtype(part, dtype), state)


def _in_dtype(part, dtype):
    """Floats in the dtype of the computation; a counter stays an integer."""
    is_float = "float" in keras.backend.standardize_dtype(part.dtype)
    return ops.cast(part, dtype) if is_float else part


def call_cell(cell, x, states, training):
    """`(output, new_states)` of one time step."""
    run = cell if isinstance(cell, keras.layers.Layer) else cell.call
    if "training" in inspect.signature(cell.call).parameters:
        return run(x, states, training=training)
    return run(x, states)


@contextlib.contextmanager
def dropout_masks(cell, x, state, training):
    """Cells inside have one dropout mask for all time steps (Gal & Ghahramani 2016).

    Args:
        cell: a cell, or a stack of them.
        x: (B, D), the input of one time step.
        state: the cell's state.
        training: without it there is no dropout.
    """
    if not training:
        yield
        return
    cells = list(_with_their_inputs(cell, x, state))
    for one, inputs, h in cells:
        if hasattr(one, "get_dropout_mask"):
            one.get_dropout_mask(inputs)
        if hasattr(one, "get_recurrent_dropout_mask"):
            one.get_recurrent_dropout_mask(h)
    try:
        yield
    finally:
        for one, *_ in cells:
            for name in ("reset_dropout_mask", "reset_recurrent_dropout_mask"):
                getattr(one, name, lambda: None)()


def _with_their_inputs(cell, x, state):
    """Each cell of a stack with tensors of the shapes of its input and of its first state."""
    if not hasattr(cell, "cells"):
        flat = keras.tree.flatten(state)
        yield cell, x, flat[0] if flat else x
        return
    for one, part in zip(cell.cells, state, strict=True):
        yield from _with_their_inputs(one, x, part)
        x = ops.zeros((ops.shape(x)[0], output_size(one)), dtype=x.dtype)
