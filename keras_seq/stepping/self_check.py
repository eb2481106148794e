"""Stepping a model gives the numbers of the model's own call, on small random inputs."""

import contextlib
import warnings
import weakref

import keras
import numpy as np
from keras import ops

from keras_seq.stepping._embeddings import vocabulary_size
from keras_seq.stepping._fingerprint import ModelFingerprint
from keras_seq.stepping._keras_private import call_model
from keras_seq.stepping.pointwise import is_third_party

_LENGTH, _QUICK_LENGTH, _STEPS = 6, 3, 8
_ATOL = {"float16": 32 * 2.0**-10, "bfloat16": 32 * 2.0**-7}  # 32 roundings

# Model to the targets that it was checked with, and to what it was then. Identities alone: objects
# would keep the model alive.
_checked = weakref.WeakKeyDictionary()


def check_once(stepper):
    """Compare on inputs that are as small as can be, unless this was done for the model.

    Raises:
        ValueError: if stepping and calling differ.
    """
    done = _checked.setdefault(stepper.model, {})
    targets, fingerprint = tuple(stepper.graph.targets), ModelFingerprint(stepper.model)
    model = (fingerprint.ids, fingerprint.settings)
    if done.get(targets) == model:
        return
    try:
        check(stepper, length=_length(stepper.graph, _QUICK_LENGTH))
    except _CannotCall as error:
        warnings.warn(
            f"Stepping model `{stepper.model.name}` was not compared with its own call, which "
            f"fails on random inputs: {error}. Compare on inputs of yours with "
            "`stepper.check(inputs)`.",
            stacklevel=3,
        )
    except Exception as error:
        raise ValueError(
            f"{error} (Found by the self-check of Stepper on random inputs; `self_check=False` "
            "turns it off.)"
        ) from error
    done[targets] = model


class _CannotCall(Exception):
    """The model's own call fails on random inputs, which tells nothing about stepping."""


def check(stepper, inputs=None, batch_size=2, length=None, atol=None):
    """See `Stepper.check`."""
    graph, operations = stepper.graph, stepper.graph.operations()
    rng = np.random.default_rng(0)
    length = _length(graph, _LENGTH) if length is None else length
    if atol is None:
        dtypes = {getattr(operation, "compute_dtype", None) for operation in operations}
        atol = max([1e-4, *(_ATOL[dtype] for dtype in dtypes & set(_ATOL))])
    batch_size = _batch_size(graph, batch_size)
    if inputs is None:
        inputs = {
            name: _random(stepper, name, batch_size, max(length - 1, 3), rng)
            for name in graph.context_inputs
        }
    inputs = stepper.context(inputs)
    if inputs:
        batch_size = int(ops.shape(next(iter(inputs.values())))[0])
    x = {name: _random(stepper, name, batch_size, length, rng) for name in graph.targets}
    x = stepper._named_targets(x)
    with _undisturbed(operations) as begin:
        begin()
        whole = _own_call(stepper, inputs, x)
        begin()
        stepped_calls = []
        stepped = _step(stepper, inputs, x, batch_size, length, stepped_calls)
        axes = [graph.output_time_axis(i) for i in range(len(graph.outputs))]
        largest = max(map(_difference, whole, zip(*stepped, strict=True), axes))
        if largest <= atol:
            return largest
        begin()
        called = []
        stepper._call({**inputs, **x}, called)
    raise ValueError(
        f"Model `{stepper.model.name}` gives other numbers step by step than at once: they "
        f"differ by {largest:.3g} (atol={atol:g}). {_culprit(called, stepped_calls, atol)}"
    )


def _own_call(stepper, inputs, x):
    """Flat outputs of the plain call, on copies: layers may delete the masks of what they read."""
    copies = {name: ops.copy(value) for name, value in {**inputs, **x}.items()}
    try:
        return keras.tree.flatten(call_model(stepper.model, copies, training=False))
    except Exception as error:
        raise _CannotCall(str(error).strip().splitlines()[0][:200]) from error


def _step(stepper, inputs, x, batch_size, length, trace):
    """Flat outputs of a prefill and of the steps after it; `trace` gets a list for each."""
    state = stepper.get_initial_state(batch_size, length, inputs)
    first = max(1, (length + 1) // 2, length - _STEPS)
    outputs, begin = [], 0
    for end in (first, *range(first + 1, length + 1)):
        trace.append([])
        chunk = {name: value[:, begin:end] for name, value in x.items()}
        y, state = stepper._run(stepper._named_targets(chunk), state, trace[-1])
        outputs.append(keras.tree.flatten(y))
        begin = end
    return outputs


def _culprit(called, stepped, atol):
    """A sentence that names the first layer whose output differs."""
    for i, (call, whole) in enumerate(called):
        chunks = [run[i][1] for run in stepped]
        for k, parts in enumerate(zip(*chunks, strict=True)):
            axis = call.time_axis(k)
            if axis is None or _difference(whole[k], parts, axis) <= atol:
                continue
            what = (
                "It is not causal or does not keep the contract; see "
                "keras_seq.testing.check_sequence_layer"
                if call.is_sequence
                else "It does not act on each time step alone"
            )
            return (
                "The first layer on the path of the target whose output differs is "
                f"`{call.name}` ({type(call.call.operation).__name__}). {what}."
            )
    return "No layer on the path of the target differs by so much; the differences add up."


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


def _batch_size(graph, batch_size):
    """B: what an input fixes, or a constant that the model passes as a state."""
    fixed = {t.shape[0] for t in graph.inputs.values()} - {None}
    for call in graph.target_calls:
        for x in keras.tree.flatten([call.initial_state, *call.context.values()]):
            shape = () if isinstance(x, keras.KerasTensor) else getattr(x, "shape", ())
            fixed |= {shape[0]} - {1} if len(shape) > 1 else set()
    return min(fixed, default=batch_size)


def _length(graph, length):
    """T: what the target's shape says, else `length`, and no longer than the positions."""
    fixed = {graph.inputs[name].shape[1] for name in graph.targets} - {None}
    positions = [getattr(operation, "sequence_length", None) for operation in graph.operations()]
    return min(fixed) if fixed else min([length, *(n for n in positions if isinstance(n, int))])


def _random(stepper, name, batch_size, length, rng):
    """Random values for an input; among ids 0, too, which may mean a masked step."""
    symbolic = stepper.graph.inputs[name]
    shape = [batch_size, *(max(length, 1) if d is None else d for d in symbolic.shape[1:])]
    if symbolic.dtype == "string":
        return np.full(shape, "a")
    if symbolic.dtype == "bool":
        return rng.random(size=shape) < 0.5
    if not keras.backend.is_int_dtype(symbolic.dtype):
        return ops.cast(rng.normal(size=shape).astype("float32"), symbolic.dtype)
    ids = rng.integers(0, vocabulary_size(stepper.model, name) or 4, size=shape)
    if len(shape) > 1:
        ids[:, 0] = np.maximum(ids[:, 0], 1)
        if shape[1] > 2:
            ids[-1, -1 if name in stepper.context_inputs else 1] = 0
    return ids.astype(symbolic.dtype)


@contextlib.contextmanager
def _undisturbed(operations):
    """Give all layers back what they had; what it gives lets stateful ones begin with zeros."""
    stateful = [operation for operation in operations if getattr(operation, "stateful", False)]
    kept = {
        id(variable): (variable, ops.copy(ops.convert_to_tensor(variable)))
        for operation in [*stateful, *filter(is_third_party, operations)]
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
