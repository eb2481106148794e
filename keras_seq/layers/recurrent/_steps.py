"""One time step of a cell with everything around its equations: masks, resets, zoneout."""

import dataclasses

import keras
from keras import ops

from keras_seq.layers.recurrent import _cell_protocol as protocol
from keras_seq.layers.recurrent.gated_cell import GatedCell


@dataclasses.dataclass
class StepInputs:
    """What goes with the time steps besides the inputs; each is `None` where there is nothing.

    Attributes:
        mask: (B, T) boolean; where False the state stays and the output repeats.
        reset: (B, T) boolean; where True the state is the initial one before the step.
        zoneout: list of (B, T, U) boolean, where a part of the state keeps its old value; or a
            float, its rate, of which the expectation is taken.
        recurrent_dropout: (B, U), what h is multiplied with before its product.
        added: (T, B, U), added to the output after each step and its mask, in the order of running.
    """

    mask: object = None
    reset: object = None
    zoneout: object = None
    recurrent_dropout: object = None
    added: object = None

    def arrays(self, reverse):
        """What goes with each time step by name, (T, B, ...)."""
        arrays = {}
        if self.mask is not None:
            arrays["mask"] = ops.expand_dims(time_first(self.mask, reverse), -1)
        if self.reset is not None:
            keep = ops.logical_not(self.reset)
            arrays["keep"] = ops.expand_dims(time_first(keep, reverse), -1)
        if isinstance(self.zoneout, list):
            for i, kept in enumerate(self.zoneout):
                arrays[f"zoneout_{i}"] = time_first(kept, reverse)
        if self.added is not None:
            arrays["added"] = self.added
        return arrays

    @property
    def expected_zoneout(self):
        return None if isinstance(self.zoneout, list) else self.zoneout

    @property
    def empty(self):
        """Whether the steps have no inputs but x."""
        return all(getattr(self, field.name) is None for field in dataclasses.fields(self))


def step_inputs(cell, x, mask, reset, training):
    """x after dropout, and what goes with its time steps."""
    inputs = StepInputs(mask, reset)
    if not isinstance(cell, GatedCell):
        return x, inputs
    seed = cell.seed_generator
    inputs.zoneout = cell.zoneout or None
    if not training:
        return x, inputs
    batch, time = ops.shape(x)[:2]
    if cell.dropout:  # one mask for all time steps (Gal & Ghahramani 2016, section 4)
        x = x * keras.random.dropout(ops.ones_like(x[:, :1]), cell.dropout, seed=seed)
    if cell.recurrent_dropout:
        ones = ops.ones((batch, cell.units), dtype=x.dtype)
        inputs.recurrent_dropout = keras.random.dropout(ones, cell.recurrent_dropout, seed=seed)
    if cell.zoneout:
        shape = (batch, time, cell.units)
        inputs.zoneout = [
            keras.random.uniform(shape, seed=seed) < cell.zoneout for _ in cell.state_names
        ]
    return x, inputs


def time_first(x, reverse):
    """(B, T, ...) to (T, B, ...), so that a time step is contiguous; in the order of running."""
    x = ops.transpose(x, (1, 0, *range(2, len(x.shape))))
    return ops.flip(x, axis=0) if reverse else x


class Step:
    """What the steps of all cells have in common.

    Args:
        cell: the cell.
        initial: list of (B, ...) tensors, the state of rows that begin anew; zeros if `None`.
    """

    def __init__(self, cell, initial=None):
        self.cell = cell
        self.initial = initial

    def reset(self, state, now):
        """The state that the step starts from: the initial one in rows that begin anew."""
        keep = now.get("keep")
        if keep is None:
            return state
        initial = self.initial or [ops.zeros_like(s) for s in state]  # 0 * infinity is no zero
        return [ops.where(keep, s, i) for s, i in zip(state, initial, strict=True)]

    def add(self, state, added):
        """The state with `added` on its output h."""
        return [state[0] + added, *state[1:]]


class GatedStep(Step):
    """One time step of a `GatedCell`, whose input comes projected.

    Args:
        cell: a `GatedCell`.
        zoneout: its expected rate, a float, or `None`.
        dropped: (B, U) factors of h before its product, or `None`.
        initial: as for `Step`.
    """

    def __init__(self, cell, zoneout=None, dropped=None, initial=None):
        super().__init__(cell, initial)
        self.zoneout = zoneout
        self.dropped = dropped

    def __call__(self, x, state, now, kernel, bias, weights):
        """The state after the step; `now` has mask and zoneout of the step."""
        h = state[0] if self.dropped is None else state[0] * self.dropped
        new = self.cell.advance(x, h, state, kernel, bias, weights)
        return self.apply_mask_and_zoneout(new, state, now)

    def apply_mask_and_zoneout(self, new, old, now):
        """Zoneout keeps the old value of some units, the mask that of whole rows."""
        mask = now.get("mask")
        kept_state = []
        for i, (n, o) in enumerate(zip(new, old, strict=True)):
            kept = now.get(f"zoneout_{i}")
            if kept is not None:
                n = ops.where(kept, o, n)
            elif self.zoneout:
                n = n + self.zoneout * (o - n)
            kept_state.append(n if mask is None else ops.where(mask, n, o))
        return kept_state


class CellStep(Step):
    """One time step of any Keras cell, by its `call`.

    Its state here is `[output, *state]`, flat: a masked step repeats the output, which a cell need
    not keep in its state.

    Args:
        cell: a cell, see `_cell_protocol`.
        structure: the nest that the cell's state is.
        training: passed to the cell.
        initial: as for `Step`.
    """

    def __init__(self, cell, structure, training=False, initial=None):
        super().__init__(cell, initial)
        self.structure = structure
        self.training = training
        self.with_output = [0]  # parts of the state that are the output

    def __call__(self, x, state, now):
        nest = keras.tree.pack_sequence_as(self.structure, state[1:])
        output, new = protocol.call_cell(self.cell, x, nest, self.training)
        new = [output, *keras.tree.flatten(new)]
        if len(new) != len(state):
            raise ValueError(
                f"`call` of cell {type(self.cell).__name__} must return as many states as it "
                f"takes, {len(state) - 1}. Received: {len(new) - 1}. Make `state_size` and "
                "`get_initial_state` agree with what `call` returns."
            )
        self.with_output = [i for i, n in enumerate(new) if n is output]
        # The cell may compute in another dtype than the layer.
        new = [ops.cast(n, o.dtype) for n, o in zip(new, state, strict=True)]
        mask = now.get("mask")
        if mask is None:
            return new
        return [ops.where(mask, n, o) for n, o in zip(new, state, strict=True)]

    def add(self, state, added):
        return [s + added if i in self.with_output else s for i, s in enumerate(state)]
