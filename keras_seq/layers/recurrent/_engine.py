"""The recurrence engine: the one loop over time that all recurrent layers share.

What is here once: hoisting (x W + b of all time steps in one matrix product), masks, resets,
dropout of the state, zoneout, direction, and how rows are divided among the CPU's threads. A cell
knows none of it. The gradient through time is in `_bptt.py`, the loops are in `_scan.py` and
`_scan_tensorflow.py`, one time step is in `_steps.py`.
"""

import contextlib
import contextvars
import dataclasses

import keras
from keras import ops

from keras_seq.layers._scoped import scoped
from keras_seq.layers.recurrent import _cell_protocol as protocol
from keras_seq.layers.recurrent import _scan as loops
from keras_seq.layers.recurrent._bptt import explicit_run
from keras_seq.layers.recurrent._checkpointing import segmented
from keras_seq.layers.recurrent._steps import CellStep, GatedStep, StepInputs, time_first
from keras_seq.layers.recurrent.gated_cell import GatedCell


@dataclasses.dataclass(frozen=True)
class Form:
    """How a recurrence is computed; each form gives the same numbers.

    Attributes:
        steps_per_iteration: time steps in one iteration of a loop that is not differentiated
            (TensorFlow, where the length is known).
        fused: `(cell, x, reverse) -> (B, T, U) outputs or None`, computes a whole run from zeros
            whose state after the last step is not needed; `None` where it does not know the cell.
        added: `zeros (T, B, U) -> (T, B, U)`, what is added to the outputs after each step and its
            mask, in the order of running. With zeros the gradient of a loss by it is that by h_t.
    """

    steps_per_iteration: int = 1
    fused: object = None
    added: object = None


_choose_form = contextvars.ContextVar("choose_form", default=None)


@contextlib.contextmanager
def recurrence_form(choose):
    """Recurrent layers that are called, or traced, inside take the form that `choose` gives.

    Args:
        choose: `layer -> Form`, or `None` for the form that the layer has outside.

    Example:

    ```python
    import keras_seq
    import numpy as np
    from keras_seq.layers.recurrent._engine import Form, recurrence_form

    layer = keras_seq.layers.LSTM(4)
    with recurrence_form(lambda layer: Form(steps_per_iteration=8)):
        layer(np.ones((2, 20, 3), "float32"))
    ```
    """
    outer = _choose_form.get()

    def choose_or_outer(layer):
        form = choose(layer)
        return outer(layer) if form is None and outer is not None else form

    with scoped(_choose_form, choose_or_outer):
        yield


def form_of(layer):
    """The form that a layer's call takes now."""
    choose = _choose_form.get()
    return (None if choose is None else choose(layer)) or Form()


def is_form_chosen():
    """Whether the caller chooses forms, so that a layer must not take a kernel of its device."""
    return _choose_form.get() is not None


def recur(
    cell,
    x,
    state=None,
    inputs=None,
    reverse=False,
    differentiable=True,
    explicit=True,
    recompute=None,
    unroll=False,
    training=False,
    form=None,
    needs_state=True,
    return_states=False,
):
    """Run a cell over time.

    Args:
        cell: a built `GatedCell`, or any cell (see `_cell_protocol`).
        x: (B, T, D), the inputs of all time steps.
        state: the state before the first step, a nest of (B, ...) tensors; the cell's initial state
            if `None`.
        inputs: `StepInputs`, what else goes with the time steps.
        reverse: run from the last time step to the first; outputs are in the order of running.
        differentiable: whether gradients are likely to be asked for. Without them the TensorFlow
            loop writes its outputs in place, which LiteRT takes with any batch and time.
        explicit: take the gradient by explicit back-propagation through time where the cell and
            the backend allow it, instead of differentiating the loop.
        recompute: number of time steps in a segment; backwards, segments are run again instead of
            storing what the gradient needs of all of them. `None` stores all.
        unroll: each time step in the graph instead of a loop; T must be known.
        training: passed to a cell that is no `GatedCell`.
        form: `Form`, how it is computed.
        needs_state: whether the state after the last step is used.
        return_states: also return the state before each step.

    Returns:
        `(outputs, state)`: (B, T, U) outputs and the state after the last step (`None` from a form
        that does not give it, if it is not needed). With `return_states` `(outputs, state,
        states)`, a list of (B, T, ...) tensors, the parts of the state before each step in the
        order of running.
    """
    inputs, form = inputs or StepInputs(), form or Form()
    if form.fused and state is None and inputs.empty and not (needs_state or return_states):
        outputs = form.fused(cell, x, reverse)
        if outputs is not None:
            return outputs, None
    batch = ops.shape(x)[0]
    initial = None
    resets_to_initial = inputs.reset is not None and _may_start_elsewhere(cell)
    if state is None or resets_to_initial:
        initial = protocol.get_initial_state(cell, batch, x.dtype)
        state = initial if state is None else state
    structure, state = state, keras.tree.flatten(state)
    initial = keras.tree.flatten(initial) if resets_to_initial else None
    if form.added is not None:
        shape = (ops.shape(x)[1], batch, protocol.output_size(cell))
        added = form.added(ops.zeros(shape, dtype=x.dtype))
        inputs = dataclasses.replace(inputs, added=added)
    loop = _Loop(reverse, differentiable, unroll, form.steps_per_iteration, return_states)
    if isinstance(cell, GatedCell):
        results = _run_gated(cell, x, state, inputs, initial, loop, explicit, recompute)
    else:
        results = _run_cell(cell, x, structure, state, inputs, initial, loop, training)
    outputs, state, states = results
    state = keras.tree.pack_sequence_as(structure, state)
    return (outputs, state, states) if return_states else (outputs, state)


@dataclasses.dataclass(frozen=True)
class _Loop:
    """How the loop runs; see `recur`."""

    reverse: bool
    differentiable: bool
    unroll: bool
    steps_per_iteration: int
    return_states: bool


def _may_start_elsewhere(cell):
    """Whether the cell's initial state may be other than zeros."""
    if isinstance(cell, GatedCell):
        return type(cell).get_initial_state is not GatedCell.get_initial_state
    return hasattr(cell, "get_initial_state")


def _run_gated(cell, x, state, inputs, initial, loop, explicit, recompute):
    """`recur` of a `GatedCell` on flat states: `(outputs, state, states)`."""
    weights = cell.input_weights(x.dtype), cell.recurrent_weights(x.dtype)
    plain = initial is None and inputs.added is None and not loop.return_states
    if x.shape[1] == 1 and inputs.added is None and not loop.return_states:
        # One step of a stepped sequence needs no loop.
        now = {name: array[0] for name, array in inputs.arrays(False).items()}
        step = GatedStep(cell, inputs.expected_zoneout, inputs.recurrent_dropout, initial)
        projected = cell.project(x[:, 0], *weights[0])
        state = step(projected, step.reset(state, now), now, *weights[1])
        return ops.expand_dims(state[0], 1), state, None

    # Gradients of their own have no place for what else a loop may read or give.
    own_gradient = loop.differentiable and loops.HAS_EXPLICIT_GRADIENTS and plain
    explicit = explicit and own_gradient and not cell.products_inside_gates
    compile = (explicit or not loop.differentiable) and initial is None and not loop.unroll

    def run(arrays, state, dropped, weights):
        """The loop over (T, B, ...) arrays, the inputs x among them: `((T, B, U), state)`."""
        groups = loops.row_groups(arrays["x"], cell, compile)
        parts = []
        for rows, _ in groups:
            taken = {name: rows(array, axis=1) for name, array in arrays.items()}
            taken["x"] = cell.project(taken["x"], *weights[0])  # (T, B, num_gates * U)
            step = GatedStep(
                cell,
                inputs.expected_zoneout,
                None if dropped is None else rows(dropped),
                None if initial is None else [rows(s) for s in initial],
            )
            parts.append((step, taken, [rows(s) for s in state]))
        if explicit:
            results = explicit_run(parts, weights[1], loop.unroll)
        else:
            results = plain_run(parts, weights[1], loop, compile)
        outputs, states, *before = zip(*results, strict=True)
        joined = [
            [_joined(groups, part, axis) for part in zip(*nest, strict=True)]
            for nest, axis in ((states, 0), *((b, 1) for b in before))
        ]
        return _joined(groups, outputs, axis=1), *joined

    arrays = {"x": time_first(x, loop.reverse), **inputs.arrays(loop.reverse)}
    if recompute and own_gradient:
        run = segmented(run, recompute)
    if compile and x.shape[0] is None:
        run = loops.with_room_for_rows(run)
    return _batch_first(*run(arrays, state, inputs.recurrent_dropout, weights))


def _run_cell(cell, x, structure, state, inputs, initial, loop, training):
    """`recur` of any cell on flat states: `(outputs, state, states)`."""
    output = ops.zeros((ops.shape(x)[0], protocol.output_size(cell)), dtype=x.dtype)
    initial = None if initial is None else [output, *initial]
    step = CellStep(cell, structure, training, initial)
    arrays = {"x": time_first(x, loop.reverse), **inputs.arrays(loop.reverse)}
    nest = keras.tree.pack_sequence_as(structure, state)
    with protocol.dropout_masks(cell, x[:, 0], nest, training):
        if x.shape[1] == 1 and inputs.added is None and not loop.return_states:
            now = {name: array[0] for name, array in arrays.items()}
            after = step(now["x"], step.reset([output, *state], now), now)
            return ops.expand_dims(after[0], 1), after[1:], None
        ((outputs, after, *before),) = plain_run([(step, arrays, [output, *state])], (), loop)
    return _batch_first(outputs, after[1:], *(b[1:] for b in before))


def _batch_first(outputs, state, before=None):
    """Results of a loop with the batch first."""
    if before is not None:
        before = [ops.transpose(b, (1, 0, *range(2, len(b.shape)))) for b in before]
    return ops.transpose(outputs, (1, 0, 2)), state, before


def _joined(groups, parts, axis):
    """The results of all groups, batch along `axis`."""
    if len(parts) == 1:
        return parts[0]
    kept = [new(part, axis=axis) for (_, new), part in zip(groups, parts, strict=True)]
    return ops.concatenate(kept, axis=axis)


def plain_run(parts, weights, loop, compile=False):
    """Run the loop as it stands; what gradient it has is the backend's.

    Args:
        parts: for each group of rows `(Step, arrays of (T, B, ...) with "x" among them, state)`.
        weights: what the step takes after the state, `(kernel, bias, others)` of the recurrence.
        loop: `_Loop`.
        compile: see `_scan.scan`.

    Returns:
        For each group `(outputs (T, B, U), state)`, and the state before each step if asked for.
    """

    def body(states, now, overwrite):
        new, outputs = [], []
        for (step, _, _), state, n in zip(parts, states, now, strict=True):
            state = step.reset(state, n)
            new.append(step(n["x"], state, n, *weights))
            if "added" in n:
                new[-1] = step.add(new[-1], n["added"])
            before = loops.named(state) if loop.return_states else {}
            outputs.append({"h": new[-1][0], **before})
        return new, outputs

    states = [state for _, _, state in parts]
    arrays = [arrays for _, arrays, _ in parts]
    like = [
        {"h": state[0], **(loops.named(state) if loop.return_states else {})} for state in states
    ]
    states, outputs, _ = loops.scan(
        body,
        states,
        arrays,
        like,
        sliced=("x",),
        in_place=not loop.differentiable,
        steps_per_iteration=loop.steps_per_iteration,
        unroll=loop.unroll,
        compile=compile,
    )
    results = []
    for y, state in zip(outputs, states, strict=True):
        before = [[y[name] for name in loops.named(state)]] if loop.return_states else []
        results.append((y["h"], state, *before))
    return results
