"""`RNN`: a cell run over time by the recurrence engine."""

import inspect

import keras
from keras import ops

from keras_seq.layers._arguments import check_positive, check_rank
from keras_seq.layers.recurrent import _cell_protocol as protocol
from keras_seq.layers.recurrent import _scan as loops
from keras_seq.layers.recurrent._call_arguments import (
    check_rows,
    mask_of,
    standardize_mask,
    standardize_state,
)
from keras_seq.layers.recurrent._engine import form_of, recur
from keras_seq.layers.recurrent._float32_loop import float32_is_faster, recur_in_float32
from keras_seq.layers.recurrent._steps import step_inputs
from keras_seq.layers.recurrent.gated_cell import GatedCell
from keras_seq.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_seq")
class RNN(SequenceLayer):
    r"""Run a recurrent cell over time: `y_t, state_t = cell(x_t, state_{t-1})`.

    Takes what `keras.layers.RNN` takes, in the same order, and any cell that it takes. A
    `GatedCell` is run faster: its input product x W of all time steps is one matrix product, and
    its gradient through time is taken explicitly (`_bptt.py`), which for each row and step stores
    the products and the state before it: 6 U numbers for an LSTM, 7 U for a GRU.

    Masks may have holes anywhere; a masked step leaves the state as it is and repeats the output.
    Weights are laid out as in Keras, so `set_weights` works both ways.

    Args:
        cell: a cell, such as `LSTMCell(units)`, any cell of Keras, or your own: an object with
            `call(x_t, states) -> (output, new_states)` and `state_size`. A list of cells is a
            stack of them, `keras.layers.StackedRNNCells`.
        return_sequences: give all outputs (B, T, U), not only the last one (B, U).
        return_state: give `y, *state`, as in Keras.
        go_backwards: run from the last time step to the first (then it is not causal).
        stateful: begin each call where the last one ended, until `reset_state`; the batch size must
            be known when the layer is built, as in Keras. A call from a given `initial_state` does
            not touch the layer's own.
        unroll: each time step in the graph instead of a loop, for short sequences of known length.
        zero_output_for_mask: with `return_sequences`, zeros as the outputs of masked steps.
        recompute: for long sequences, the number of time steps in a segment: only the state before
            each segment is stored, and backwards each is run again (`_checkpointing.py`). A
            number near the square root of T needs the least memory. `None` stores all. For
            `GatedCell`s.
        **kwargs: arguments of `keras.layers.Layer` (`name`, `dtype`, `trainable`).

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if `cell` lacks what a cell has, an argument is out of range, or `sequences`, a
            mask or the state has a wrong shape.

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
        unroll=False,
        zero_output_for_mask=False,
        *,
        recompute=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        who = type(self).__name__
        if isinstance(cell, (list, tuple)):
            cell = keras.layers.StackedRNNCells(cell)
        protocol.check_cell(who, cell)
        if recompute is not None:
            check_positive(who, recompute=recompute)
            if not isinstance(cell, GatedCell):
                raise ValueError(
                    f"`recompute` of {who} must be None for a cell that is no GatedCell. Received: "
                    f"recompute={recompute} with cell={cell!r}. Make the cell a GatedCell."
                )
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.recompute = recompute
        self.input_spec = keras.InputSpec()  # one tensor: a list of inputs and states is refused
        self.states = ()

    @property
    def causal(self):
        return not self.go_backwards

    @property
    def state_size(self):
        """Widths of the parts of the state, a list."""
        size = self.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]

    @property
    def state_names(self):
        """Names of the parts of the state, flat."""
        if isinstance(self.cell, GatedCell):
            return list(self.cell.state_names)
        return [str(i) for i, _ in enumerate(keras.tree.flatten(self._state_spec()))]

    def build(self, input_shape):
        check_rank(type(self).__name__, "sequences", input_shape, 3, "(B, T, D)")
        if isinstance(self.cell, keras.layers.Layer) and not self.cell.built:
            self.cell.build((input_shape[0], input_shape[2]))
            self.cell.built = True
        if not self.stateful:
            return
        if input_shape[0] is None:
            raise ValueError(
                f"`{self.name}` ({type(self).__name__}) is stateful, so its batch size must be "
                "known: give the model's Input a `batch_size`. Received: sequences of shape "
                f"{tuple(input_shape)}"
            )
        spec = keras.tree.flatten(self._state_spec())
        self.states = [
            self.add_weight(
                name=f"state_{name}",
                shape=(input_shape[0], *part.shape[1:]),
                initializer=lambda shape, dtype=None, i=i: self._initial_part(i, shape[0]),
                trainable=False,
                dtype=part.dtype,
            )
            for i, (name, part) in enumerate(zip(self.state_names, spec, strict=True))
        ]
        for name, state in zip(self.state_names, self.states, strict=True):
            setattr(self, f"state_{name}", state)  # where tf.train.Checkpoint looks

    @property
    def weights(self):
        """All but the state, as in Keras, so that a stateful layer takes those of a plain one."""
        states = {id(state) for state in self.states}
        return [w for w in super().weights if id(w) not in states]

    def reset_state(self):
        """Let a stateful layer begin anew, from the initial state, in all rows."""
        for i, state in enumerate(self.states):
            state.assign(self._initial_part(i, state.shape[0]))

    reset_states = reset_state  # Keras has both names

    def get_initial_state(self, batch_size, max_length=None):
        """The cell's initial state; zeros where the cell has none.

        Args:
            batch_size: B, an int or a scalar tensor.
            max_length: ignored, the state does not grow.

        Returns:
            List of (B, U) tensors: `[h, c]` for LSTM, `[h]` for GRU; of a stack, a list of lists.
        """
        return protocol.get_initial_state(self.cell, batch_size, self.compute_dtype)

    def _initial_part(self, i, batch_size):
        return keras.tree.flatten(self.get_initial_state(batch_size))[i]

    def _state_spec(self):
        """Shapes and dtypes of the state in its structure, the batch unknown."""
        if isinstance(self.cell, GatedCell):
            return [self._part_spec(width) for width in self.cell.state_size]
        return keras.tree.map_structure(
            lambda part: self._part_spec(*part.shape[1:], dtype=part.dtype),
            self.get_initial_state(1),
        )

    def _part_spec(self, *shape, dtype=None):
        return keras.KerasTensor((None, *shape), dtype=dtype or self.compute_dtype)

    def _standardize_state(self, initial_state, batch_size):
        """A given state in the structure of the layer's, checked; one row stands for all rows."""
        spec = self._state_spec()
        return standardize_state(self, initial_state, spec, self.state_names, batch_size)

    def call(
        self,
        sequences,
        initial_state=None,
        mask=None,
        training=None,
        reset=None,
        return_state=False,
    ):
        """Run the layer on a sequence.

        Args:
            sequences: (B, T, D) floats.
            initial_state: the state to start from, as `get_initial_state` gives it: a list of
                (B, U) tensors, or the tensor alone where there is one; a part of one row, (1, U)
                or (U,), stands for all rows. If `None`: the initial state, or where the last call
                ended if the layer is stateful.
            mask: (B, T) booleans, or numbers that are zero where False; where False the state stays
                as it is and the output repeats.
            training: whether dropout and zoneout are on.
            reset: (B, T), like `mask`; where True the row's state is the initial one before the
                step, so that what follows in the row is another sequence.
            return_state: return `(y, state)` with the state as a list, for a later call or step.
                (The constructor's `return_state=True` returns `y, *state`, as in Keras.)

        Returns:
            (B, T, U) with `return_sequences`, else the last output (B, U).
        """
        x = sequences
        check_rank(type(self).__name__, "sequences", x.shape, 3, "(B, T, D)")
        self._check_length(x)
        mask = mask_of(self, mask, x)
        reset = standardize_mask(self, "reset", reset, x)
        x = ops.cast(x, self.compute_dtype)  # Keras leaves integers as they are
        stateful = self.stateful and initial_state is None
        if stateful:
            initial_state = self._own_state()
            if x.shape[0] is None:  # another number of rows would be broadcast; here it fails
                x = ops.reshape(x, (self.states[0].shape[0], *ops.shape(x)[1:]))
        elif initial_state is None and type(self).get_initial_state is not RNN.get_initial_state:
            initial_state = self.get_initial_state(ops.shape(x)[0])  # a subclass', as in Keras
        if initial_state is not None and not stateful:
            initial_state = self._standardize_state(initial_state, ops.shape(x)[0])
        check_rows(self, initial_state, x, stateful)
        x, inputs = step_inputs(self.cell, x, mask, reset, training)
        outputs, state = self._recur(
            self.cell,
            x,
            initial_state,
            inputs,
            reverse=self.go_backwards,
            differentiable=bool(training) or loops.records_gradients(),
            recompute=self.recompute,
            unroll=self.unroll,
            training=bool(training),
            form=form_of(self),
            needs_state=stateful or return_state or self.return_state,
        )
        if stateful:
            for variable, part in zip(self.states, keras.tree.flatten(state), strict=True):
                variable.assign(part)
        y = self._outputs(outputs, state, mask)
        if return_state:
            return y, state
        return (y, *state) if self.return_state else y

    def _recur(self, cell, x, state, inputs, **options):
        """`recur`, as is best on the device; layers that have a kernel of it choose here."""
        run = recur_in_float32 if float32_is_faster(cell, x) else recur
        return run(cell, x, state, inputs, **options)

    def compute_output_spec(self, *args, **kwargs):
        # By position: a subclass may have another name for the first argument of `call`.
        bound = inspect.signature(self.call).bind(*args, **kwargs).arguments
        sequences = next(iter(bound.values()))
        self._check_length(sequences)
        if kwargs.get("return_state"):  # a structure that `compute_output_shape` cannot know
            return super().compute_output_spec(*args, **kwargs)
        return keras.tree.map_shape_structure(
            lambda shape: keras.KerasTensor(shape, dtype=self.compute_dtype),
            self.compute_output_shape(sequences.shape),
        )

    def _check_length(self, sequences):
        if self.unroll and sequences.shape[1] is None:
            raise ValueError(
                f"`unroll` of {type(self).__name__} `{self.name}` needs a known number of time "
                f"steps. Received: sequences of shape {tuple(sequences.shape)}. Give the model's "
                "Input the length, or build the layer with `unroll=False`."
            )

    def _own_state(self):
        """The state of a stateful layer as tensors."""
        parts = [ops.convert_to_tensor(state) for state in self.states]
        return keras.tree.pack_sequence_as(self._state_spec(), parts)

    def _outputs(self, outputs, state, mask):
        """What the layer gives of (B, T, U) outputs in the order of running."""
        if not self.return_sequences:
            # h of the state is the last output, and the others need not be kept.
            return state[0] if state and isinstance(self.cell, GatedCell) else outputs[:, -1]
        if mask is None or not self.zero_output_for_mask:
            return outputs
        mask = ops.flip(mask, axis=1) if self.go_backwards else mask
        return ops.where(ops.expand_dims(mask, -1), outputs, ops.zeros_like(outputs))

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

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        batch, time = sequences_shape[:2]
        width = protocol.output_size(self.cell)
        y = (batch, time, width) if self.return_sequences else (batch, width)
        if not self.return_state:
            return y
        shapes = keras.tree.map_structure(lambda p: (batch, *p.shape[1:]), self._state_spec())
        return y, *shapes

    def get_config(self):
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "stateful": self.stateful,
            "unroll": self.unroll,
            "zero_output_for_mask": self.zero_output_for_mask,
            "recompute": self.recompute,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        cell = keras.saving.deserialize_keras_object(config["cell"], custom_objects)
        return cls(**{**config, "cell": cell})
