"""LSTM, GRU and SimpleRNN as ONNX's own operators, masks included."""

import keras
import numpy as np

from keras_seq.export.targets._onnx_graph import array_of, register_onnx
from keras_seq.layers import (
    GRU,
    LSTM,
    RNN,
    GRUCell,
    LearnedInitialState,
    LSTMCell,
    SimpleRNN,
    SimpleRNNCell,
)

_ACTIVATIONS = {  # the operators' own functions; of hard_sigmoid Keras and ONNX differ
    keras.activations.sigmoid: "Sigmoid",
    keras.activations.tanh: "Tanh",
    keras.activations.relu: "Relu",
    keras.activations.softsign: "Softsign",
    keras.activations.softplus: "Softplus",
}
# Operator, and the order of its gates among Keras'.
_CELLS = {
    LSTMCell: ("LSTM", (0, 3, 1, 2)),  # i f g o to i o f g
    keras.layers.LSTMCell: ("LSTM", (0, 3, 1, 2)),
    GRUCell: ("GRU", (0, 1, 2)),
    keras.layers.GRUCell: ("GRU", (0, 1, 2)),
    SimpleRNNCell: ("RNN", (0,)),
    keras.layers.SimpleRNNCell: ("RNN", (0,)),
}


@register_onnx(keras.layers.RNN)
@register_onnx(keras.layers.LSTM)
@register_onnx(keras.layers.GRU)
@register_onnx(keras.layers.SimpleRNN)
@register_onnx(RNN)
@register_onnx(LSTM)
@register_onnx(GRU)
@register_onnx(SimpleRNN)
def emit_recurrent(graph, layer, x, initial_state=None, mask=None):
    mask = _mask_of(layer, x, initial_state, mask)
    y, states = recurrence(graph, layer, x, initial_state, mask)
    if layer.return_sequences:
        passed = x.mask
        if layer.go_backwards:
            y = _flipped(graph, y)
            passed = None if passed is None else _flipped(graph, passed)
        y = y.with_mask(passed)
    else:
        y = states[0].with_mask(None)
    return [y, *(s.with_mask(None) for s in states)] if layer.return_state else y


@register_onnx(keras.layers.Bidirectional)
def emit_bidirectional(graph, layer, x, initial_state=None, mask=None):
    mask = _mask_of(layer, x, initial_state, mask)
    half = None if initial_state is None else len(initial_state) // 2
    parts, states = [], []
    for one, begin in ((layer.forward_layer, 0), (layer.backward_layer, half)):
        state = None if half is None else initial_state[begin : begin + half]
        y, last = recurrence(graph, one, x, state, mask)
        parts.append(y if layer.return_sequences else last[0])
        states += last
    if layer.merge_mode == "concat":
        y = graph.op("Concat", *parts, axis=-1)
    elif layer.merge_mode in ("sum", "ave", "mul"):
        y = graph.op("Mul" if layer.merge_mode == "mul" else "Add", *parts)
        y = graph.op("Mul", y, 0.5) if layer.merge_mode == "ave" else y
    else:
        raise NotImplementedError("its `merge_mode` is None")
    y = y.with_mask(x.mask if layer.return_sequences else None)
    return [y, *(s.with_mask(None) for s in states)] if layer.return_state else y


def _mask_of(layer, x, initial_state, mask):
    """The mask that the layer goes by; Keras hands its own layers none beside a state (3.15)."""
    if mask is None and (initial_state is None or isinstance(layer, RNN)):
        return x.mask
    return mask


def recurrence(graph, layer, x, initial_state, mask):
    """Outputs and last states of a recurrent layer.

    The operators take the lengths of sequences and no mask. So the steps that count are moved to
    the front, in their order, and their outputs back to their places: right for every mask.

    Args:
        graph: `OnnxGraph`.
        layer: recurrent layer.
        x: (B, T, D).
        initial_state: list of (B, U), or `None`.
        mask: (B, T) booleans, or `None`.

    Returns:
        `(y, states)`: (B, T, U), at the places of the inputs also of a layer that runs backwards,
        and a list of (B, U).
    """
    kind, weights, attributes = _operator(layer)
    if layer.go_backwards:
        attributes["direction"] = "reverse"
    lengths = None
    if mask is not None:
        valid = graph.cast(mask, "int64")
        x, lengths = _to_the_front(graph, x, valid)
    states = [] if initial_state is None else keras.tree.flatten(initial_state)
    states_in = [graph.unsqueeze(state, 0) for state in states]
    steps = graph.op("Transpose", x, perm=[1, 0, 2])  # (T, B, D)
    inputs = (steps, *weights, lengths, *states_in)
    y, *last = graph.op(kind, *inputs, outputs=3 if kind == "LSTM" else 2, **attributes)
    y = graph.op("Transpose", graph.op("Squeeze", y, graph.ints(1)), perm=[1, 0, 2])  # (B, T, U)
    last = [graph.op("Squeeze", part, graph.ints(0)) for part in last]
    if mask is not None and states:  # of no steps at all ONNX Runtime gives zeros
        ran = graph.unsqueeze(graph.op("Greater", lengths, np.int32(0)), 1)
        last = [graph.op("Where", ran, a, b) for a, b in zip(last, states, strict=True)]
    if mask is None or not layer.return_sequences:
        return y, last
    # Keras' own layers give zeros before the first step that counts, these here repeat h.
    before = states[0] if states and isinstance(layer, RNN) else np.zeros((1, 1), "float32")
    return _to_their_places(graph, layer, y, valid, before), last


def _to_the_front(graph, x, valid):
    """`x` with the steps that count first, and (B,) int32, how many they are."""
    time = graph.size(x, 1)
    order = graph.op("Sub", graph.op("Mul", valid, time), graph.range(time))
    _, places = graph.op("TopK", order, graph.op("Unsqueeze", time, graph.ints(0)), outputs=2)
    x = graph.op("GatherND", x, graph.unsqueeze(places, 2), batch_dims=1)
    return x, graph.cast(_count(graph, valid), "int32")


def _count(graph, valid):
    return graph.op("ReduceSum", valid, graph.ints(1), keepdims=0)


def _to_their_places(graph, layer, y, valid, before):
    """Each step has the output of the last step that counted, in the order of running."""
    seen = graph.op("CumSum", valid, np.int64(1), reverse=int(layer.go_backwards))  # (B, T)
    place = graph.op("Sub", seen, np.int64(1))
    if layer.go_backwards:
        place = graph.op("Sub", graph.unsqueeze(_count(graph, valid), 1), seen)
    last = graph.op("Sub", graph.size(y, 1), np.int64(1))
    place = graph.op("Min", graph.op("Max", place, np.int64(0)), last)
    y = graph.op("GatherND", y, graph.unsqueeze(place, 2), batch_dims=1)
    any_seen = graph.unsqueeze(graph.op("Greater", seen, np.int64(0)), 2)
    if not isinstance(before, np.ndarray):
        before = graph.unsqueeze(before, 1)
    y = graph.op("Where", any_seen, y, before)
    if getattr(layer, "zero_output_for_mask", False):
        y = graph.op("Where", graph.unsqueeze(graph.cast(valid, "bool"), 2), y, np.float32(0))
    return y


def _operator(layer):
    """`(operator, (W, R, B), attributes)`."""
    cell = layer.cell
    if type(cell) not in _CELLS:
        raise NotImplementedError(f"ONNX has no operator for its cell {type(cell).__name__}")
    kind, order = _CELLS[type(cell)]
    if getattr(cell, "zoneout", 0):
        raise NotImplementedError("ONNX has no zoneout, which acts in inference, too")
    functions = [cell.activation]
    if kind != "RNN":
        functions.insert(0, cell.recurrent_activation)
    if kind == "LSTM":
        functions.append(cell.activation)
    for function in functions:
        if function not in _ACTIVATIONS:
            name = getattr(function, "__name__", function)
            raise NotImplementedError(f"ONNX's {kind} has no activation {name}")

    def by_gates(array):  # (..., gates U) to (1, gates U, ...) in the operator's order
        parts = np.split(array_of(array), len(order), axis=-1)
        return np.ascontiguousarray(np.concatenate([parts[i] for i in order], axis=-1).T)[None]

    units, count = cell.units, len(order)
    bias = np.zeros((2, count * units), "float32")
    if cell.bias is not None:
        given = array_of(cell.bias)
        bias[: 2 if given.ndim == 2 else 1] = given
    bias = np.concatenate([by_gates(bias[:1])[..., 0], by_gates(bias[1:])[..., 0]], axis=-1)
    attributes = {"hidden_size": units, "activations": [_ACTIVATIONS[f] for f in functions]}
    if kind == "GRU":
        attributes["linear_before_reset"] = int(cell.reset_after)
    return kind, (by_gates(cell.kernel), by_gates(cell.recurrent_kernel), bias), attributes


def _flipped(graph, x):
    """`x` with axis 1 reversed."""
    begin, end = graph.ints(-1), graph.ints(np.iinfo("int64").min)
    return graph.op("Slice", x, begin, end, graph.ints(1), graph.ints(-1))


@register_onnx(LearnedInitialState)
def emit_learned_initial_state(graph, layer, x):
    batch = graph.op("Unsqueeze", graph.size(x, 0), graph.ints(0))
    states = [
        graph.op("Expand", state, graph.op("Concat", batch, graph.ints(*state.shape), axis=0))
        for state in layer.states  # (U,) to (B, U)
    ]
    return states if isinstance(layer.units, (list, tuple)) else states[0]
