"""`TruncatedBPTT`: train a recurrent model on long texts, chunk after chunk."""

import keras
from keras import ops

from keras_seq.layers._arguments import check_positive
from keras_seq.layers.sequence_layer import check_mask
from keras_seq.stepping.stepper import Stepper, takes_reset
from keras_seq.training._keras_private import made_fit_for_replicas
from keras_seq.training._replicas import (
    num_replicas,
    num_replicas_here,
    rows_of_all_replicas,
    rows_of_replica,
)
from keras_seq.training._reset_inputs import check_one_input, split_reset


@keras.saving.register_keras_serializable(package="keras_seq")
class TruncatedBPTT(keras.Model):
    r"""Truncated back-propagation through time (Williams & Peng 1990), in plain `fit`.

    A long text is cut into chunks of T steps, batch after batch (see `keras_seq.training.chunks`).
    Chunk k starts from the states that chunk k - 1 ended with, taken as constants:

        y_k, s_k = model(x_k, stop_gradient(s_{k-1}))       # s: the states of all recurrent layers

    so the forward pass is that of the whole text, and the gradient goes back T steps at most. Row r
    of a batch goes on where row r of the last batch ended. Where `reset` is True the states of the
    row are zero before the step, in every recurrent layer of the model, so that what follows is
    another document.

    The states are weights that are not trained: checkpoints hold them, and `fit` can go on from
    there. Only calls with `training=True` read and write them. `evaluate` and `predict` begin every
    batch with zeros; with `carry_evaluation` each `evaluate` begins with zeros and carries states
    of its own from batch to batch, which is what the perplexity of a long text needs. Give `model`
    itself, whose weights are the trained ones, to a `Generator` or an export.

    States are carried from one epoch to the next as well, unless the data reset them, as those of
    `chunks` do, or `reset_states` is called. The order of the batches is the order of the text:
    arrays need `fit(..., shuffle=False)`.

    Under `tf.distribute.MirroredStrategy` and its like, each of R replicas runs B / R rows of a
    batch, the first of them the first rows. The states are those of all B rows, on every replica,
    so that a checkpoint fits any number of replicas.

    Args:
        model: functional (or built Sequential) model with one input, (B, T) ids or (B, T, D)
            floats. Its recurrent layers are those of `keras_seq.layers` with
            `return_sequences=True`; all other layers act on each time step alone.
        steps: T, the largest number of time steps of a training chunk.
        batch_size: B, rows of a training batch. `None`: that of the first batch.
        carry_evaluation: whether `evaluate` carries states from batch to batch. Its batches must
            then have B rows, too.
        **kwargs: arguments of `keras.Model` (`name`, `dtype`).

    Call arguments, returns: see `call`.

    Raises:
        TypeError: if `model` has no graph to walk, or `reset` is not boolean.
        ValueError: if `model` has several inputs, no recurrent layer, or a layer that is not causal
            or whose state cannot be reset (named, with what to do); if `steps` or `batch_size` is
            below 1; if a batch has another number of rows, too many steps, or a `reset` of another
            shape.

    Example:

    ```python
    import keras
    import numpy as np
    import keras_seq
    from keras_seq.training import TruncatedBPTT

    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(50, 8)(tokens)
    x = keras_seq.layers.LSTM(8, return_sequences=True)(x)
    model = keras.Model(tokens, keras.layers.Dense(50)(x))

    trainer = TruncatedBPTT(model, steps=5)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile("adam", loss)
    text = np.random.default_rng(0).integers(0, 50, size=(2, 21))       # two rows
    for start in (0, 5, 10, 15):
        x, y = text[:, start : start + 5], text[:, start + 1 : start + 6]
        reset = np.zeros(x.shape, bool)
        reset[:, 0] = start == 0
        trainer.train_on_batch({"tokens": x, "reset": reset}, y)

    generator = keras_seq.generation.Generator(model, max_length=3)
    print(generator.generate(prompt=[[1, 2]]).tokens.shape)  # (1, 5)
    ```
    """

    def __init__(self, model, steps, batch_size=None, carry_evaluation=False, **kwargs):
        super().__init__(**kwargs)
        check_positive("TruncatedBPTT", steps=steps)
        if batch_size is not None:
            check_positive("TruncatedBPTT", batch_size=batch_size)
        self.model = model
        self.steps = steps
        self.batch_size = batch_size
        self.carry_evaluation = bool(carry_evaluation)
        self.training_states = []
        self.evaluation_states = []
        self._in_test_step = False
        check_one_input(
            "TruncatedBPTT", model, "a context, such as an encoder's output, has no chunks"
        )
        self._runner = _ChunkRunner(model)
        if not self._runner.zeros(1):
            raise ValueError(
                f"`model` of TruncatedBPTT must have a recurrent layer. Model `{model.name}` has "
                "none on the path from its input, so there is no state to carry. Train it with "
                "`fit` as it is, or add a layer such as keras_seq.layers.LSTM."
            )
        if batch_size is not None:
            self._make_states()

    def build(self, input_shape):
        if self.training_states:
            return
        self.batch_size = keras.tree.flatten(input_shape)[0]
        if self.batch_size is None:
            raise ValueError(
                "TruncatedBPTT keeps a state for each row, so it must know the number of rows. "
                f"Received a batch of unknown size: {input_shape}. Pass `batch_size=`, or make the "
                "batches with `drop_remainder=True`."
            )
        # Under a strategy, `fit` builds with the rows of one replica.
        self.batch_size *= num_replicas()
        self._make_states()

    def _make_states(self):
        for kind in ("training", "evaluation"):
            if kind == "evaluation" and not self.carry_evaluation:
                continue
            for i, zeros in enumerate(self._runner.zeros(1)):
                state = self.add_weight(
                    name=f"{kind}_state_{i}",
                    shape=(self.batch_size, *zeros.shape[1:]),
                    initializer="zeros",
                    trainable=False,
                    dtype=keras.backend.standardize_dtype(zeros.dtype),
                    autocast=False,
                )
                getattr(self, f"{kind}_states").append(state)
                setattr(self, f"{kind}_state_{i}", state)  # where tf.train.Checkpoint looks
        self.built = True

    def reset_states(self):
        """Let the next training chunk begin with zeros in all rows."""
        _clear(self.training_states)

    def call(self, inputs, training=None):
        """Run the model on a chunk.

        Args:
            inputs: the model's input x, (B, T) ids or (B, T, D) floats; or `(x, reset)`; or a dict
                of x, under any name, and `"reset"`. `reset` is boolean (B, T), True where the
                states of the row are to be zero before the step.
            training: whether the training states are carried, and dropout is on.

        Returns:
            What the model returns.
        """
        x, reset = split_reset("TruncatedBPTT", inputs)
        check_mask(self, "reset", reset, x)
        states, rows = None, ops.shape(x)[0]
        if training:
            self._check_steps(x)
            states = self.training_states
        elif self._in_test_step and self.carry_evaluation:
            states = self.evaluation_states
        if states is None:
            return self._runner.run(x, self._runner.zeros(rows), reset)[0]
        self._check_rows(x)
        if x.shape[0] is None:
            # Rows of another number would be broadcast against the states; here they fail.
            x = ops.reshape(x, (self._rows, *ops.shape(x)[1:]))
        # Copies, because torch's gradient must not see the states change under it.
        before = [
            ops.stop_gradient(ops.copy(rows_of_replica(ops.convert_to_tensor(state))))
            for state in states
        ]
        y, after = self._runner.run(x, before, reset)
        for variable, state in zip(states, after, strict=True):
            variable.assign(rows_of_all_replicas(ops.stop_gradient(state)))
        return y

    def _check_steps(self, x):
        if x.shape[1] is not None and x.shape[1] > self.steps:
            raise ValueError(
                f"A training chunk of TruncatedBPTT `{self.name}` must have at most steps="
                f"{self.steps} time steps. Received: x of shape {tuple(x.shape)}. Cut the text "
                "with keras_seq.training.chunks, or raise `steps`."
            )

    def _check_rows(self, x):
        if x.shape[0] not in (None, self._rows):
            on_each = "" if self._rows == self.batch_size else f", {self._rows} on each replica"
            raise ValueError(
                f"TruncatedBPTT `{self.name}` carries the states of {self.batch_size} rows"
                f"{on_each}, so every batch must have as many. Received: x of shape "
                f"{tuple(x.shape)}. Leave out a last, smaller batch (`drop_remainder=True`), or "
                "make the trainer with the `batch_size=` that the batches have."
            )

    @property
    def _rows(self):
        """Rows of a batch that the replica has which runs this code."""
        replicas = num_replicas_here()
        if self.batch_size % replicas:
            raise ValueError(
                f"TruncatedBPTT `{self.name}` needs batches whose rows can be divided evenly among "
                f"the {replicas} replicas of the strategy. Received: batch_size={self.batch_size}"
            )
        return self.batch_size // replicas

    def test_step(self, *args, **kwargs):
        # `evaluate` and `predict` both call with `training=False`; only this tells them apart.
        self._in_test_step = True
        try:
            return super().test_step(*args, **kwargs)
        finally:
            self._in_test_step = False

    def fit(self, *args, **kwargs):
        with made_fit_for_replicas(self):
            return super().fit(*args, **kwargs)

    def evaluate(self, *args, **kwargs):
        _clear(self.evaluation_states)
        with made_fit_for_replicas(self):
            return super().evaluate(*args, **kwargs)

    def get_config(self):
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
            "steps": self.steps,
            "batch_size": self.batch_size,
            "carry_evaluation": self.carry_evaluation,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects)
        return cls(**{**config, "model": model})

    def get_build_config(self):
        return None  # the configuration has all that building needs: the number of rows


class _ChunkRunner:
    """Runs a model from given states on a chunk, and hands resets to its recurrent layers.

    Args:
        model: as for `Stepper`.

    Raises:
        ValueError: if a layer has a state that cannot be reset, or carries one itself.
    """

    def __init__(self, model):
        self.stepper = Stepper(model)
        with_state = [call for call in self.stepper.graph.target_calls if call.is_sequence]
        # In the order of the graph. Sorted names would not do: `lstm_10` sorts before `lstm_9`,
        # and a checkpoint must fit a model whose layers are numbered otherwise.
        self._names = [call.name for call in with_state]
        for call in with_state:
            _check_resettable(call.operation)

    def zeros(self, batch_size):
        """The states of all recurrent layers before the first step, as a flat list."""
        return keras.tree.flatten(self._in_order(self.stepper.get_initial_state(batch_size)))

    def run(self, x, states, reset):
        """Run the model on a chunk: `(outputs, states)`, states as a flat list."""
        state = self.stepper.get_initial_state(ops.shape(x)[0])
        states = keras.tree.pack_sequence_as(self._in_order(state), states)
        state = {**state, "layers": dict(zip(self._names, states, strict=True))}
        y, state = self.stepper.prefill(x, state, reset=reset)
        return y, keras.tree.flatten(self._in_order(state))

    def _in_order(self, state):
        return [state["layers"][name] for name in self._names]


def _check_resettable(layer):
    who = f"`{layer.name}` ({type(layer).__name__})"
    if getattr(layer, "stateful", False):
        raise ValueError(
            f"{who} was made with `stateful=True`, and TruncatedBPTT carries the states "
            "itself. Make it without."
        )
    if takes_reset(layer):
        return
    if keras.tree.flatten(layer.get_initial_state(1, 1)):
        raise ValueError(
            f"{who} looks back in time and its state cannot be reset, so documents in one row "
            "would leak into each other. TruncatedBPTT takes recurrent layers (keras_seq.layers"
            ".RNN, SimpleRNN, LSTM, GRU) and layers that act on each time step alone; train "
            "this model with `fit` as it is, on whole sequences."
        )


def _clear(states):
    for state in states:
        state.assign(ops.zeros(state.shape, dtype=state.dtype))
