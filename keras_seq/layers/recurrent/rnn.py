"""`RNN`: a cell run over time by the recurrence engine."""

import keras
from keras import ops

from keras_seq.layers._arguments import check_positive, check_rank
from keras_seq.layers.recurrent import _scan as loops
from keras_seq.layers.recurrent._engine import Turns, recur
from keras_seq.layers.recurrent.gated_cell import GatedCell
from keras_seq.layers.sequence_layer import SequenceLayer, check_marks, implicit_mask


@keras.saving.register_keras_serializable(package="keras_seq")
class RNN(SequenceLayer):
    r"""Run a recurrent cell over time: `y_t, state_t = cell(x_t, state_{t-1})`.

    Weights are laid out as in Keras (kernel, recurrent kernel, bias), so `set_weights` works both
    ways. Masks may have holes anywhere; a masked step leaves the state as it is and repeats the
    output. The gradient through time is taken explicitly (`layers/backpropagation.py`), which for
    each row and step stores the products and the state before it: 6 U numbers for an LSTM, 7 U for
    a GRU.

    Args:
        cell: a `GatedCell`, such as `LSTMCell(units)`.
        return_sequences: give all outputs (B, T, U), not only the last one (B, U).
        return_state: give `y, *state`, as in Keras.
        go_backwards: run from the last time step to the first (then it is not causal).
        stateful: begin each call where the last one ended, until `reset_state`; the batch size must
            be known when the layer is built, as in Keras.
        recompute: for long sequences, the number of time steps in a segment: only the state before
            each segment is stored, and backwards each is run again (`layers/recomputation.py`). A
            number near the square root of T needs the least memory. `None` stores all.
        **kwargs: arguments of `keras.layers.Layer` (`name`, `dtype`, `trainable`).

    Call arguments, returns: see `call`.

    Raises:
        TypeError: if `cell` is no `GatedCell`, or a mask is not boolean.
        ValueError: if an argument is out of range, or `x`, a mask or the state has a wrong shape.

    Example:

    ```python
    import numpy as np
    import keras_seq

    x = np.ones((2, 5, 3), "float32")
    layer = keras_seq.layers.RNN(keras_seq.layers.PeepholeLSTMCell(8), return_sequences=True)
    y, state = layer(x[:, :3], return_state=True)   # call on a part ...
    y, state = layer.step(x[:, 3:4], state)         # ... and step on
    print(y.shape)  # (2, 1, 8)
    ```
    """

    def __init__(
        self,
        cell,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        recompute=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if recompute is not None:
            check_positive(type(self).__name__, recompute=recompute)
        if not isinstance(cell, GatedCell):
            raise TypeError(
                f"`cell` of {type(self).__name__} must be a keras_seq.layers.GatedCell, such as "
                f"LSTMCell(units). Received: {cell!r}. Run Keras' own cells with keras.layers.RNN."
            )
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.recompute = recompute
        self.input_spec = keras.InputSpec()  # one tensor: a list of inputs and states is refused
        self.states = ()

    @property
    def causal(self):
        return not self.go_backwards

    @property
    def units(self):
        return self.cell.units

    @property
    def state_size(self):
        """Widths of the parts of the state."""
        return self.cell.state_size

    def build(self, input_shape):
        check_rank(type(self).__name__, "x", input_shape, 3, "(B, T, D)")
        if not self.cell.built:
            self.cell.build(input_shape)
        if not self.stateful:
            return
        if input_shape[0] is None:
            raise ValueError(
                f"`{self.name}` ({type(self).__name__}) is stateful, so its batch size must be "
                "known: give the model's Input a `batch_size`. Received: x of shape "
                f"{tuple(input_shape)}"
            )
        self.states = [
            self.add_weight(
                name=f"state_{name}",
                shape=(input_shape[0], self.units),
                initializer="zeros",
                trainable=False,
                dtype=self.compute_dtype,
            )
            for name in self.cell.state_names
        ]
        for name, state in zip(self.cell.state_names, self.states, strict=True):
            setattr(self, f"state_{name}", state)  # where tf.train.Checkpoint looks

    @property
    def weights(self):
        """All but the state, as in Keras, so that a stateful layer takes those of a plain one."""
        states = {id(state) for state in self.states}
        return [w for w in super().weights if id(w) not in states]

    def reset_state(self):
        """Let a stateful layer begin anew, with zeros, in all rows."""
        for state in self.states:
            state.assign(ops.zeros(state.shape, dtype=state.dtype))

    reset_states = reset_state  # Keras has both names

    def get_initial_state(self, batch_size, max_length=None):
        """Zeros.

        Args:
            batch_size: B, an int or a scalar tensor.
            max_length: ignored, the state does not grow.

        Returns:
            List of (B, U) tensors: `[h, c]` for LSTM, `[h]` for GRU.
        """
        return [
            ops.zeros((batch_size, self.units), dtype=self.compute_dtype)
            for _ in self.cell.state_names
        ]

    def _standardize_state(self, initial_state, batch_size):
        """A given state as a list of (B, U) tensors, checked; one row stands for all rows."""
        if not isinstance(initial_state, (list, tuple)):
            initial_state = [initial_state]
        names, units = self.cell.state_names, self.units
        parts = [None if p is None else ops.convert_to_tensor(p) for p in initial_state]
        shapes = [() if part is None else tuple(part.shape) for part in parts]
        if len(parts) != len(names) or any(s[-1:] != (units,) or len(s) > 2 for s in shapes):
            raise ValueError(
                f"`initial_state` of {type(self).__name__} `{self.name}` must be "
                f"[{', '.join(names)}], each of shape (B, {units}). Received shapes: {shapes}"
            )
        return [
            ops.broadcast_to(part, (batch_size, units)) if shape[:-1] in ((), (1,)) else part
            for part, shape in zip(
                [ops.cast(part, self.compute_dtype) for part in parts], shapes, strict=True
            )
        ]

    def call(self, x, initial_state=None, mask=None, reset=None, return_state=False, training=None):
        """Run the layer on a sequence.

        Args:
            x: (B, T, D) floats.
            initial_state: list of (B, U) tensors to start from. If `None`: zeros, or where the last
                call ended if the layer is stateful.
            mask: (B, T) boolean; where False the state stays as it is and the output repeats.
            reset: (B, T) boolean; where True the row's state is zero before the step, so that what
                follows in the row is another sequence.
            return_state: return `(y, state)` with the state as a list, for a later call or step.
                (The constructor's `return_state=True` returns `y, *state`, as in Keras.)
            training: whether dropout and zoneout are on.

        Returns:
            (B, T, U) with `return_sequences`, else the last output (B, U).
        """
        check_rank(type(self).__name__, "x", x.shape, 3, "(B, T, D)")
        check_marks(self, "mask", mask, x)
        check_marks(self, "reset", reset, x)
        mask = implicit_mask(x, mask)
        x = ops.cast(x, self.compute_dtype)  # Keras leaves integers as they are
        stateful = self.stateful and initial_state is None
        if stateful:
            initial_state = [ops.convert_to_tensor(state) for state in self.states]
            if x.shape[0] is None:  # another number of rows would be broadcast; here it fails
                x = ops.reshape(x, (self.states[0].shape[0], *ops.shape(x)[1:]))
        if initial_state is None:
            state = self.get_initial_state(ops.shape(x)[0])
        else:
            state = self._standardize_state(initial_state, ops.shape(x)[0])
        self._check_rows(state, x, stateful)
        x, turns = self._turns(x, mask, reset, training)
        outputs, state = recur(
            self.cell,
            x,
            state,
            turns,
            reverse=self.go_backwards,
            differentiable=bool(training) or loops.records_gradients(),
            recompute=self.recompute,
        )
        if stateful:
            for variable, part in zip(self.states, state, strict=True):
                variable.assign(part)
        y = outputs if self.return_sequences else state[0]
        if return_state:
            return y, state
        return (y, *state) if self.return_state else y

    def _check_rows(self, state, x, stateful):
        rows = {part.shape[0] for part in state} - {None}
        if x.shape[0] is None or rows <= {x.shape[0]}:
            return
        who = f"{type(self).__name__} `{self.name}`"
        if stateful:
            raise ValueError(
                f"{who} is stateful and was built for batches of {min(rows)} rows. Received: x of "
                f"shape {tuple(x.shape)}. Give it batches of that size, or an `initial_state`."
            )
        raise ValueError(
            f"`initial_state` of {who} must have as many rows as x, {x.shape[0]}. Received shapes: "
            f"{[tuple(part.shape) for part in state]}"
        )

    def _turns(self, x, mask, reset, training):
        """x after dropout, and what goes with its time steps."""
        cell, seed = self.cell, self.cell.seed_generator
        turns = Turns(mask, None if reset is None else ops.cast(reset, "bool"))
        if cell.zoneout:
            turns.zoneout = cell.zoneout
        if not training:
            return x, turns
        batch, time = ops.shape(x)[:2]
        if cell.dropout:  # one mask for all time steps (Gal & Ghahramani 2016, section 4)
            x = x * keras.random.dropout(ops.ones_like(x[:, :1]), cell.dropout, seed=seed)
        if cell.recurrent_dropout:
            ones = ops.ones((batch, self.units), dtype=self.compute_dtype)
            turns.recurrent_dropout = keras.random.dropout(ones, cell.recurrent_dropout, seed=seed)
        if cell.zoneout:
            shape = (batch, time, self.units)
            turns.zoneout = [
                keras.random.uniform(shape, seed=seed) < cell.zoneout for _ in cell.state_names
            ]
        return x, turns

    def step(self, x, state, mask=None, **kwargs):
        if not self.return_sequences:
            raise ValueError(
                f"`{self.name}` ({type(self).__name__}) gives only its last output, so it cannot "
                "run step by step. Build it with `return_sequences=True`."
            )
        return super().step(x, state, mask=mask, **kwargs)

    def compute_mask(self, inputs, previous_mask):
        if not self.return_sequences or previous_mask is None:
            return None
        # Outputs come in the order of running, and what is masked with them.
        return ops.flip(previous_mask, axis=1) if self.go_backwards else previous_mask

    def compute_output_shape(self, x_shape, initial_state_shape=None):
        batch, time = x_shape[:2]
        y = (batch, time, self.units) if self.return_sequences else (batch, self.units)
        return (y, *((batch, n) for n in self.state_size)) if self.return_state else y

    def get_config(self):
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "stateful": self.stateful,
            "recompute": self.recompute,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        cell = keras.saving.deserialize_keras_object(config["cell"], custom_objects)
        return cls(**{**config, "cell": cell})
