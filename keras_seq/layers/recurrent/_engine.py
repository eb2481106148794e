"""The recurrence engine: the one loop over time that all recurrent layers share.

What is here once: hoisting (x W + b of all time steps in one matrix product), masks, resets,
dropout of the state, zoneout, direction, and how rows are shared out among the CPU's threads. A
cell knows none of it. The gradient through time is in `backpropagation.py`, the loops are in
`loops.py` and `loops_tensorflow.py`.
"""

import dataclasses

from keras import ops

from keras_seq.layers.recurrent import _scan as loops
from keras_seq.layers.recurrent._bptt import explicit_run
from keras_seq.layers.recurrent._checkpointing import segmented


@dataclasses.dataclass
class Turns:
    """What goes with the time steps besides the inputs; each is `None` where there is nothing.

    Attributes:
        mask: (B, T) boolean; where False the state stays and the output repeats.
        reset: (B, T) boolean; where True the state is zero before the step.
        zoneout: list of (B, T, U) boolean, where a part of the state keeps its old value; or a
            float, its share, of which the expectation is taken.
        recurrent_dropout: (B, U), what h is multiplied with before its product.
    """

    mask: object = None
    reset: object = None
    zoneout: object = None
    recurrent_dropout: object = None

    def arrays(self, reverse):
        """What goes with each time step by name, (T, B, ...)."""
        arrays = {}
        for name, marks in (("mask", self.mask), ("keep", self.reset)):
            if marks is not None:
                marks = ops.logical_not(marks) if name == "keep" else marks
                arrays[name] = ops.expand_dims(time_first(marks, reverse), -1)
        if isinstance(self.zoneout, list):
            for i, kept in enumerate(self.zoneout):
                arrays[f"zoneout_{i}"] = time_first(kept, reverse)
        return arrays

    @property
    def expected_zoneout(self):
        return None if isinstance(self.zoneout, list) else self.zoneout


def time_first(x, reverse):
    """(B, T, ...) to (T, B, ...), so that a time step is contiguous; in the order of running."""
    x = ops.transpose(x, (1, 0, *range(2, len(x.shape))))
    return ops.flip(x, axis=0) if reverse else x


def recur(
    cell, x, state, turns=None, reverse=False, differentiable=True, explicit=True, recompute=None
):
    """Run a gated cell over time.

    Args:
        cell: a built `GatedCell`.
        x: (B, T, D), the inputs of all time steps.
        state: list of (B, U) tensors, the state before the first step.
        turns: `Turns`, what goes with the time steps.
        reverse: run from the last time step to the first; outputs are in the order of running.
        differentiable: whether gradients are likely to be asked for. Without them the TensorFlow
            loop writes its outputs in place, which LiteRT takes with any batch and time.
        explicit: take the gradient by explicit back-propagation through time where the cell and
            the backend allow it, instead of differentiating the loop.
        recompute: number of time steps in a segment; backwards, segments are run again instead of
            storing what the gradient needs of all of them. `None` stores all.

    Returns:
        `(outputs, state)`: (B, T, U) outputs h and the state after the last step.
    """
    turns = turns or Turns()
    weights = cell.input_weights(x.dtype), cell.recurrent_weights(x.dtype)
    if x.shape[1] == 1:  # one step of a stepped sequence needs no loop
        now = {name: array[0] for name, array in turns.arrays(False).items()}
        step = Step(cell, turns.expected_zoneout, turns.recurrent_dropout)
        projected = cell.project(x[:, 0], *weights[0])
        state = step(projected, step.reset(state, now), now, *weights[1])
        return ops.expand_dims(state[0], 1), state

    explicit = explicit and differentiable and not cell.products_inside_gates
    engine = explicit_run if explicit and loops.HAS_EXPLICIT_GRADIENTS else plain_run

    def run(arrays, state, dropped, weights):
        """The loop over (T, B, ...) arrays, the inputs x among them: `((T, B, U), state)`."""
        groups = loops.row_groups(arrays["x"], cell)
        parts = []
        for rows, _ in groups:
            taken = {name: rows(array, axis=1) for name, array in arrays.items()}
            taken["x"] = cell.project(taken["x"], *weights[0])  # (T, B, num_gates * U)
            step = Step(cell, turns.expected_zoneout, None if dropped is None else rows(dropped))
            parts.append((step, taken, [rows(s) for s in state]))
        results = engine(parts, weights[1], in_place=not differentiable)
        outputs, states = zip(*results, strict=True)
        states = [_joined(groups, part, axis=0) for part in zip(*states, strict=True)]
        return _joined(groups, outputs, axis=1), states

    arrays = {"x": time_first(x, reverse), **turns.arrays(reverse)}
    if recompute and differentiable and loops.HAS_EXPLICIT_GRADIENTS:
        run = segmented(run, recompute)
    outputs, state = run(arrays, state, turns.recurrent_dropout, weights)
    return ops.transpose(outputs, (1, 0, 2)), state


def _joined(groups, parts, axis):
    """The results of all groups, batch along `axis`."""
    if len(parts) == 1:
        return parts[0]
    kept = [new(part, axis=axis) for (_, new), part in zip(groups, parts, strict=True)]
    return ops.concatenate(kept, axis=axis)


class Step:
    """One time step of a cell with everything around its equations.

    Args:
        cell: a `GatedCell`.
        zoneout: its expected share, a float, or `None`.
        dropped: (B, U) factors of h before its product, or `None`.
    """

    def __init__(self, cell, zoneout, dropped):
        self.cell = cell
        self.zoneout = zoneout
        self.dropped = dropped

    def __call__(self, x, state, now, kernel, bias, weights):
        """The state after the step; `now` has mask and zoneout of the step."""
        new = self.cell.advance(x, self.seen(state[0]), state, kernel, bias, weights)
        return self.settle(new, state, now)

    def reset(self, state, now):
        """The state that the step starts from: zero in rows that begin anew."""
        keep = now.get("keep")
        if keep is None:
            return state
        return [ops.where(keep, s, ops.zeros_like(s)) for s in state]  # 0 * infinity is no zero

    def seen(self, h):
        """h as its product sees it."""
        return h if self.dropped is None else h * self.dropped

    def settle(self, new, old, now):
        """What a new state comes to: zoneout keeps some units, the mask keeps whole rows."""
        mask = now.get("mask")
        settled = []
        for i, (n, o) in enumerate(zip(new, old, strict=True)):
            kept = now.get(f"zoneout_{i}")
            if kept is not None:
                n = ops.where(kept, o, n)
            elif self.zoneout:
                n = n + self.zoneout * (o - n)
            settled.append(n if mask is None else ops.where(mask, n, o))
        return settled


def plain_run(parts, weights, in_place):
    """Run the loop as it stands; what gradient it has is the backend's.

    Args:
        parts: for each group of rows `(Step, arrays of (T, B, ...) with "x" among them, state)`.
        weights: `(kernel, bias, others)` of the recurrence.
        in_place: write outputs into one buffer.

    Returns:
        For each group `(outputs (T, B, U), state)`.
    """

    def turn(states, now, overwrite):
        new = []
        for (step, _, _), state, n in zip(parts, states, now, strict=True):
            new.append(step(n["x"], step.reset(state, n), n, *weights))
        return new, [{"h": state[0]} for state in new]

    states = [state for _, _, state in parts]
    arrays = [arrays for _, arrays, _ in parts]
    like = [{"h": state[0]} for state in states]
    states, outputs, _ = loops.scan(turn, states, arrays, like, sliced=("x",), in_place=in_place)
    return [(y["h"], state) for y, state in zip(outputs, states, strict=True)]
