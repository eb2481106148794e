"""What the gates of a recurrent layer did at every time step of a sequence."""

from keras import ops

from keras_seq.layers._arguments import check_rank
from keras_seq.layers.recurrent._call_arguments import mask_of
from keras_seq.layers.recurrent._engine import recur
from keras_seq.layers.recurrent._steps import step_inputs
from keras_seq.layers.recurrent.gated_cell import GatedCell


def gates(layer, x, mask=None, initial_state=None):
    r"""Activations of every gate of a recurrent layer, time step by time step.

    The layer runs over `x` as at inference, and its cell's own equations give the gates from the
    projected input and the state before each step; for an LSTM

        i_t, f_t, o_t = sigmoid(x_t W + h_{t-1} U + b)
        g_t           = tanh   (x_t W_g + h_{t-1} U_g + b_g)

    At a masked step stand the gates of its input, though the state does not change.

    Args:
        layer: a built `RNN`, `LSTM` or `GRU`, or any `RNN` of a cell that defines `gates`.
        x: (B, T, D) floats.
        mask: (B, T) booleans, or numbers that are zero where False; where False the state stays as
            it is. If `None`: the mask that came with `x`.
        initial_state: list of (B, U) tensors to start from. If `None`: zeros, or where the last
            call ended if the layer is stateful (whose state is left as it is).

    Returns:
        Dict from gate name to a (B, T, U) tensor, time in the order of `x` (also with
        `go_backwards`): `i, f, g, o` for LSTMs, where g is the candidate, and `z, r, g` for GRUs.

    Raises:
        ValueError: if the layer has no weights yet or its cell has no gates, or if `x`, the mask or
            the state has a wrong shape.

    Example:

    ```python
    import numpy as np
    import keras_seq

    x = np.ones((2, 5, 3), "float32")
    layer = keras_seq.layers.LSTM(8)
    layer(x)
    activations = keras_seq.inspection.gates(layer, x)
    print(sorted(activations), activations["f"].shape)  # ['f', 'g', 'i', 'o'] (2, 5, 8)
    ```
    """
    cell, who = layer.cell, f"{type(layer).__name__} `{layer.name}`"
    check_rank(type(layer).__name__, "x", tuple(x.shape), 3, "(B, T, D)")
    mask = mask_of(layer, mask, x)  # one that travels with x is lost when x is converted
    x = ops.convert_to_tensor(x)
    if not layer.built:
        raise ValueError(
            f"{who} has no weights yet, so its gates have no activations. Call the layer or its "
            "model on a batch first."
        )
    _check_gates(cell, who)
    if x.shape[-1] != cell.kernel.shape[0]:
        raise ValueError(
            f"`x` of {who} must have {cell.kernel.shape[0]} features, as those that the layer was "
            f"built for. Received: x of shape {tuple(x.shape)}"
        )
    x = ops.cast(x, layer.compute_dtype)
    if initial_state is None and layer.stateful:
        initial_state = list(layer.states)
    if initial_state is not None:
        initial_state = layer._standardize_state(initial_state, ops.shape(x)[0])
    x, inputs = step_inputs(cell, x, mask, None, training=False)
    _, _, states = recur(
        cell, x, initial_state, inputs, reverse=layer.go_backwards, return_states=True
    )

    x = ops.flip(x, axis=1) if layer.go_backwards else x  # in the order of running, as the states
    batch, time = ops.shape(x)[:2]
    rows = [ops.reshape(a, (-1, a.shape[-1])) for a in (x, *states)]  # (B * T, ...), as cells know
    projected = cell.project(rows[0], *cell.input_weights(rows[0].dtype))
    found = cell.gates_before(projected, rows[1:], *cell.recurrent_weights(projected.dtype))
    activations = {}
    for name, values in found.items():
        values = ops.reshape(values, (batch, time, values.shape[-1]))
        activations[name] = ops.flip(values, axis=1) if layer.go_backwards else values
    return activations


def _check_gates(cell, who):
    if not isinstance(cell, GatedCell) or type(cell).gates is GatedCell.gates:
        raise ValueError(
            f"{who} has no gates to look at: its cell {type(cell).__name__} is no GatedCell that "
            "defines `gates`. Take LSTM or GRU, or give your GatedCell a `gates` method that "
            "returns its activations by name (see keras_seq.layers.GatedCell.gates)."
        )
    if cell.products_inside_gates and type(cell).gates_before is GatedCell.gates_before:
        raise ValueError(
            f"{who} has a cell, {type(cell).__name__}, that multiplies inside a gate "
            "(`products_inside_gates`), so its gates cannot be had from its two products. Give it "
            "`gates_before`, as keras_seq.layers.GRUCell has it."
        )
