"""The states of a streamed model: their names, shapes and types."""

import keras
import numpy as np

from keras_seq.export._exported_model import output_names
from keras_seq.stepping.stepper import Stepper


def stream_states(model, shapes, max_length):
    """The states that a client passes from chunk to chunk.

    Args:
        model: functional model.
        shapes: dict from input name to shape.
        max_length: largest number of time steps, or `None`.

    Returns:
        `(states, stepper, structure)`: dict from name to `(shape, dtype)`, an open batch `None`;
        the `Stepper` of the model; a nest of tensors in the structure of its state.

    Raises:
        ValueError: if the model cannot be streamed.
    """
    if len(shapes) != 1:
        raise ValueError(
            f"`streaming=True` needs a model with one input. Received: {sorted(shapes)}. Export a "
            "Generator where there is a context."
        )
    ((name, (rows, *_)),) = shapes.items()
    stepper = Stepper(model)

    def initial(batch_size):
        state = stepper.get_initial_state(batch_size=batch_size, max_length=max_length)
        arrays = [keras.ops.convert_to_numpy(s) for s in keras.tree.flatten(state)]
        return state, [np.asarray(a) for a in arrays]

    structure, fixed = initial(rows or 2)
    if any(np.any(s) for s in fixed):
        raise ValueError(
            "`streaming=True` needs states that begin with zeros. Received a model in which a "
            "layer starts from another state; export it with `streaming=False`."
        )
    states = {f"state_{i}": (s.shape, s.dtype.name) for i, s in enumerate(fixed)}
    if rows is None:  # the dimensions that grow with the batch are open
        _, more = initial(3)
        for (state, (shape, dtype)), other in zip(states.items(), more, strict=True):
            pairs = zip(shape, other.shape, strict=True)
            states[state] = tuple(n if n == m else None for n, m in pairs), dtype
    clash = set(states) & {name, *output_names(model)}
    if clash:
        raise ValueError(
            "Inputs and outputs of a model exported with `streaming=True` must not have the names "
            f"of states. Received: {sorted(clash)}. Rename them."
        )
    return states, stepper, structure
