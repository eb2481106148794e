"""The law on a whole model: stepping gives the numbers of calling, on random inputs."""

import contextlib

import keras
import numpy as np
from keras import ops

from keras_seq.stepping._keras_private import functional_of
from keras_seq.stepping._target_graph import input_names, vocabulary_size
from keras_seq.stepping.pointwise import is_foreign

_LENGTH, _STEPS = 6, 8
_ATOL = {"float16": 32 * 2.0**-10, "bfloat16": 32 * 2.0**-7}  # 32 roundings


def check(stepper, inputs=None, batch_size=2, length=None, atol=None):
    """See `Stepper.check`."""
    graph, operations = stepper.graph, stepper.graph.operations()
    rng = np.random.default_rng(0)
    length = _length(graph, operations) if length is None else length
    if atol is None:
        dtypes = {getattr(operation, "compute_dtype", None) for operation in operations}
        atol = max([1e-4, *(_ATOL[dtype] for dtype in dtypes & set(_ATOL))])
    batches = {t.shape[0] for t in graph.inputs.values()} - {None}
    batch_size = min(batches, default=batch_size)
    if inputs is None:
        inputs = {n: _random(stepper, n, batch_size, length - 1, rng) for n in graph.context_inputs}
    inputs = stepper.context(inputs)
    if inputs:
        batch_size = int(ops.shape(next(iter(inputs.values())))[0])
    x = {name: _random(stepper, name, batch_size, length, rng) for name in graph.targets}
    x = stepper._named_targets(x)
    with _undisturbed(operations) as begin:
        begin()
        whole = keras.tree.flatten(_call(stepper.model, {**inputs, **x}))
        begin()
        seen = []
        stepped = _step(stepper, inputs, x, batch_size, length, seen)
        axes = [_axis(graph, tensor) for tensor in graph.outputs]
        largest = max(map(_difference, whole, zip(*stepped, strict=True), axes))
        if largest <= atol:
            return largest
        begin()
        called = []
        stepper._call({**inputs, **x}, called)
    raise ValueError(
        f"Model `{stepper.model.name}` gives other numbers step by step than at once: they "
        f"differ by {largest:.3g} (atol={atol:g}). {_culprit(called, seen, atol)}"
    )


def _step(stepper, inputs, x, batch_size, length, seen):
    """Flat outputs of a prefill and of the steps after it; `seen` gets a list for each."""
    state = stepper.get_initial_state(inputs, batch_size=batch_size, max_length=length)
    first = max(1, length // 3, length - _STEPS)
    outputs, begin = [], 0
    for end in (first, *range(first + 1, length + 1)):
        seen.append([])
        chunk = {name: value[:, begin:end] for name, value in x.items()}
        y, state = stepper._run(stepper._named_targets(chunk), state, seen[-1])
        outputs.append(keras.tree.flatten(y))
        begin = end
    return outputs


def _culprit(called, seen, atol):
    """A sentence that names the first layer whose output differs."""
    for i, (stepper, node, whole) in enumerate(called):
        chunks = [run[i][2] for run in seen]
        for k, parts in enumerate(zip(*chunks, strict=True)):
            axis = node.time_axis(k)
            if axis is None or _difference(whole[k], parts, axis) <= atol:
                continue
            operation = node.node.operation
            where = f" of model `{stepper.model.name}`" if stepper is not seen[0][-1][0] else ""
            what = (
                "It does not act on each time step alone"
                if node.kind == "pointwise"
                else "It is not causal or does not keep the contract; see "
                "keras_seq.testing.check_sequence_layer"
            )
            return (
                f"The first layer on the target's way whose output differs is `{operation.name}` "
                f"({type(operation).__name__}){where}. {what}."
            )
    return "No layer on the target's way differs by so much; the differences add up."


def _difference(whole, parts, axis):
    """Largest difference, relative to numbers beyond one in size; NaN counts as infinite.

    Attention weights of a sliding window are left out: in a step they are over the places of the
    cache, in a call over the sequence.
    """
    if axis == 2 and any(part.shape[-1] != whole.shape[-1] for part in parts):
        return 0.0
    whole = ops.convert_to_numpy(whole).astype("float64")
    parts = [ops.convert_to_numpy(part).astype("float64") for part in parts]
    got = parts[-1] if axis is None else np.concatenate(parts, axis=axis)
    if got.shape != whole.shape:
        return np.inf
    with np.errstate(invalid="ignore"):
        difference = np.max(np.abs(got - whole), initial=0.0)
    scale = np.max(np.abs(whole), initial=1.0, where=np.isfinite(whole))
    return np.inf if np.isnan(difference) else float(difference / scale)


def _axis(graph, tensor):
    """The axis of the time in an output of the model; `None` where it has none."""
    for node in graph.target_nodes:
        for i, own in enumerate(node.node.outputs):
            if own is tensor:
                return node.time_axis(i)
    return 1 if id(tensor) in graph.depends else None


def _length(graph, operations):
    """T: what the target's shape says, else short, and no longer than the positions."""
    fixed = {graph.inputs[name].shape[1] for name in graph.targets} - {None}
    positions = [getattr(operation, "sequence_length", None) for operation in operations]
    return min(fixed) if fixed else min([_LENGTH, *(n for n in positions if isinstance(n, int))])


def _random(stepper, name, batch_size, length, rng):
    """Random values for an input; of ids, 0 too, which may mean a masked step."""
    symbolic = stepper.graph.inputs[name]
    shape = [batch_size, *(max(length, 1) if d is None else d for d in symbolic.shape[1:])]
    if not keras.backend.is_int_dtype(symbolic.dtype):
        return ops.cast(rng.normal(size=shape).astype("float32"), symbolic.dtype)
    ids = rng.integers(0, vocabulary_size(stepper.model, name) or 4, size=shape)
    if len(shape) > 1:
        ids[:, 0] = np.maximum(ids[:, 0], 1)
    return ids.astype(symbolic.dtype)


@contextlib.contextmanager
def _undisturbed(operations):
    """Give all layers back what they had; what it gives lets stateful ones begin with zeros."""
    stateful = [operation for operation in operations if getattr(operation, "stateful", False)]
    kept = {
        id(variable): (variable, ops.copy(ops.convert_to_tensor(variable)))
        for operation in [*stateful, *filter(is_foreign, operations)]
        for variable in getattr(operation, "non_trainable_variables", ())
    }

    def begin():
        for operation in stateful:
            operation.reset_state()

    try:
        yield begin
    finally:
        for variable, value in kept.values():
            variable.assign(value)


def _call(model, inputs):
    functional = functional_of(model)
    flat = [inputs[name] for name in input_names(functional)]
    return model(keras.tree.pack_sequence_as(functional._inputs_struct, flat), training=False)
