"""What the gates of a recurrent layer did at every time step of a sequence."""

from keras import ops

from keras_seq.layers._arguments import check_rank
from keras_seq.layers.recurrent import _scan as loops
from keras_seq.layers.recurrent._engine import time_first
from keras_seq.layers.recurrent.gated_cell import GatedCell
from keras_seq.layers.sequence_layer import check_marks, implicit_mask


def gates(layer, x, mask=None, initial_state=None):
    r"""Activations of every gate of a recurrent layer, time step by time step.

    The layer runs over `x` as at inference, and its cell's own equations give the gates from the
    projected input and the state before each step; for an LSTM

        i_t, f_t, o_t = sigmoid(x_t W + h_{t-1} U + b)
        g_t           = tanh   (x_t W_g + h_{t-1} U_g + b_g)

    At a masked step stands what the gates say to its input, though the state does not listen.

    Args:
        layer: a built `RNN`, `LSTM` or `GRU`, or any `RNN` of a cell that defines `gates`.
        x: (B, T, D) floats.
        mask: (B, T) boolean; where False the state stays as it is. If `None`: the mask that came
            with `x`.
        initial_state: list of (B, U) tensors to start from. If `None`: zeros, or where the last
            call ended if the layer is stateful (whose state is left as it is).

    Returns:
        Dict from gate name to a (B, T, U) tensor, time in the order of `x` (also with
        `go_backwards`): `i, f, g, o` for LSTMs, where g is the candidate, and `z, r, g` for GRUs.

    Raises:
        TypeError: if the mask is not boolean.
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
    mask = implicit_mask(x, mask) if mask is None else mask  # lost when x is converted
    x = ops.convert_to_tensor(x)
    check_rank(type(layer).__name__, "x", tuple(x.shape), 3, "(B, T, D)")
    check_marks(layer, "mask", mask, x)
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
        initial_state = [ops.convert_to_tensor(state) for state in layer.states]
    if initial_state is None:
        state = layer.get_initial_state(ops.shape(x)[0])
    else:
        state = layer._standardize_state(initial_state, ops.shape(x)[0])
    states, _, _ = open_run(layer, x, state, mask)

    x = time_first(x, layer.go_backwards)
    time, batch = ops.shape(x)[:2]
    rows = [ops.reshape(a, (-1, a.shape[-1])) for a in (x, *states)]  # (T * B, ...), as cells know
    projected = cell.project(rows[0], *cell.input_weights(rows[0].dtype))
    found = cell.gates_before(projected, rows[1:], *cell.recurrent_weights(projected.dtype))
    activations = {}
    for name, values in found.items():
        values = time_first(ops.reshape(values, (time, batch, values.shape[-1])), False)
        activations[name] = ops.flip(values, axis=1) if layer.go_backwards else values
    return activations


def open_run(layer, x, state, mask=None, reset=None, added=None):
    """Run a layer at inference and keep the state before each step, not only its outputs.

    Each step is the cell's own `call`: slower than the layer, but any state can be looked at and
    moved, and the backend differentiates the loop as it stands.

    Args:
        layer: a built `RNN`.
        x: (B, T, D) inputs.
        state: list of (B, U) tensors, before the first step.
        mask: (B, T) boolean or `None`; where False the state stays as it is.
        reset: (B, T) boolean or `None`; where True the state is zero before the step.
        added: (T, B, U) or `None`, added to h after each step and its mask, in the order of
            running.

    Returns:
        `(before, outputs, state)`: a list of (T, B, U) tensors, one for each part of the state
        before the steps; (T, B, U) outputs; and the state after the last step. Time is in the order
        of running.
    """
    arrays = {"x": time_first(x, layer.go_backwards)}
    for name, marks in (("mask", mask), ("reset", reset)):
        if marks is not None:
            marks = time_first(ops.cast(marks, "bool"), layer.go_backwards)
            arrays[name] = ops.expand_dims(marks, -1)  # (T, B, 1)
    if added is not None:
        arrays["added"] = added

    def turn(states, now, overwrite):
        (old,), (now,) = states, now
        if "reset" in now:
            old = [ops.where(now["reset"], ops.zeros_like(part), part) for part in old]
        _, new = layer.cell.call(now["x"], old, training=False)
        if "mask" in now:
            new = [ops.where(now["mask"], n, o) for n, o in zip(new, old, strict=True)]
        if "added" in now:
            new = [new[0] + now["added"], *new[1:]]
        return [list(new)], [{"h": new[0], **loops.named(old)}]

    like = [{"h": state[0], **loops.named(state)}]
    (after,), (found,), _ = loops.scan(turn, [state], [arrays], like)
    return [found[f"state_{i}"] for i in range(len(state))], found["h"], after


def _check_gates(cell, who):
    if type(cell).gates is GatedCell.gates:
        raise ValueError(
            f"{who} has no gates to look at: its cell {type(cell).__name__} does not define "
            "`gates`. Take LSTM or GRU, or give your cell a `gates` method that returns its "
            "activations by name (see keras_seq.layers.GatedCell.gates)."
        )
    if cell.products_inside_gates and type(cell).gates_before is GatedCell.gates_before:
        raise ValueError(
            f"{who} has a cell, {type(cell).__name__}, that multiplies inside a gate "
            "(`products_inside_gates`), so its gates cannot be had from its two products. Give it "
            "`gates_before`, as keras_seq.layers.GRUCell has it."
        )
