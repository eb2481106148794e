"""`LSTM` and `GRU`: gated cells run over time by the recurrence engine."""

import keras
from keras import initializers, ops

from keras_seq.layers.arguments import check_positive, check_rank, check_rate
from keras_seq.layers.cells import GRUCell, LSTMCell
from keras_seq.layers.recurrence import recur
from keras_seq.layers.sequence_layer import SequenceLayer, implicit_mask


class GatedRecurrentLayer(SequenceLayer):
    """What `LSTM` and `GRU` share: weights in Keras' layout, dropout, states, the contract."""

    cell_class = None
    # What `keras.layers.Bidirectional` asks of the layer that it wraps.
    stateful = False
    states = ()

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        dropout=0.0,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive(type(self).__name__, units=units)
        check_rate(type(self).__name__, dropout=dropout)
        self.units = units
        self.cell = self.cell_class(units, activation, recurrent_activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.dropout = dropout
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def causal(self):
        return not self.go_backwards

    @property
    def state_size(self):
        """Widths of the parts of the state."""
        return [self.units] * len(self.cell.state_names)

    def build(self, input_shape):
        check_rank(type(self).__name__, "x", input_shape, 3, "(B, T, D)")
        width = self.cell.num_gates * self.units
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], width), initializer=self.kernel_initializer
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.units, width),
            initializer=self.recurrent_initializer,
        )
        self.bias = None
        if self.use_bias:
            shape = (2, width) if self.cell.has_recurrent_bias else (width,)
            self.bias = self.add_weight(
                name="bias", shape=shape, initializer=self._bias_initializer()
            )

    def _bias_initializer(self):
        return self.bias_initializer

    def initial_state(self, batch_size, max_length=None, initial_state=None):
        """Zeros, or `initial_state` where the layer starts from a given one.

        Args:
            batch_size: B, an int or a scalar tensor.
            max_length: ignored, the state does not grow.
            initial_state: tensor or list of tensors (B, U), as `call` takes it.

        Returns:
            List of (B, U) tensors: `[h, c]` for LSTM, `[h]` for GRU.

        Raises:
            ValueError: if `initial_state` has the wrong number of parts or the wrong width.
        """
        names = self.cell.state_names
        if initial_state is None:
            return [ops.zeros((batch_size, self.units), dtype=self.compute_dtype) for _ in names]
        if not isinstance(initial_state, (list, tuple)):
            initial_state = [initial_state]
        shapes = [tuple(part.shape) for part in initial_state]
        if len(shapes) != len(names) or any(s[1:] != (self.units,) for s in shapes):
            raise ValueError(
                f"`initial_state` of {type(self).__name__} `{self.name}` must be "
                f"[{', '.join(names)}], each of shape (B, {self.units}). Received shapes: {shapes}"
            )
        return [ops.cast(part, self.compute_dtype) for part in initial_state]

    def call(self, x, initial_state=None, mask=None, return_state=False, training=None):
        """Run the layer on a sequence.

        Args:
            x: (B, T, D) floats.
            initial_state: list of (B, U) tensors to start from; zeros if `None`.
            mask: (B, T) boolean; where False the state stays as it is and the output repeats.
            return_state: return `(y, state)` with the state as a list, for a later call or step.
                (The constructor's `return_state=True` returns `y, *state`, as in Keras.)
            training: whether dropout is on.

        Returns:
            (B, T, U) with `return_sequences`, else the last output (B, U).
        """
        check_rank(type(self).__name__, "x", x.shape, 3, "(B, T, D)")
        mask = implicit_mask(x, mask)
        state = self.initial_state(ops.shape(x)[0], initial_state=initial_state)
        if training and self.dropout:
            # One mask for all time steps (Gal & Ghahramani 2016, section 4).
            ones = ops.ones_like(x[:, :1])
            x = x * keras.random.dropout(ones, self.dropout, seed=self.seed_generator)
        input_bias, recurrent_bias = self._biases()
        x = ops.matmul(x, self.kernel)  # (B, T, num_gates * U)
        if input_bias is not None:
            x = x + input_bias
        outputs, state = recur(
            self.cell,
            x,
            ops.convert_to_tensor(self.recurrent_kernel),
            recurrent_bias,
            state,
            mask=mask,
            reverse=self.go_backwards,
            differentiable=bool(training),
        )
        y = outputs if self.return_sequences else state[0]
        if return_state:
            return y, state
        return (y, *state) if self.return_state else y

    def _biases(self):
        if self.bias is None:
            return None, None
        bias = ops.convert_to_tensor(self.bias)
        return (bias[0], bias[1]) if self.cell.has_recurrent_bias else (bias, None)

    def step(self, x, state, mask=None, **kwargs):
        if not self.return_sequences:
            raise ValueError(
                f"`{self.name}` ({type(self).__name__}) gives only its last output, so it cannot "
                "run step by step. Build it with `return_sequences=True`."
            )
        return super().step(x, state, mask=mask, **kwargs)

    def compute_mask(self, inputs, previous_mask):
        return previous_mask if self.return_sequences else None

    def compute_output_shape(self, x_shape, initial_state_shape=None):
        batch, time = x_shape[:2]
        y = (batch, time, self.units) if self.return_sequences else (batch, self.units)
        return (y, *((batch, n) for n in self.state_size)) if self.return_state else y

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.cell.activation),
            "recurrent_activation": keras.activations.serialize(self.cell.recurrent_activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": initializers.serialize(self.recurrent_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "dropout": self.dropout,
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="keras_seq")
class LSTM(GatedRecurrentLayer):
    r"""Long short-term memory layer (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

        i, f, o = sigmoid(x W + h U + b)    # input, forget and output gates
        g       = tanh   (x W_g + h U_g + b_g)
        c'      = f * c + i * g
        h'      = o * tanh(c')

    Weights are laid out as in `keras.layers.LSTM` (kernel, recurrent kernel, bias; gates in the
    order i, f, g, o), so `set_weights` works both ways. The state is `[h, c]`.

    Args:
        units: U, width of the output and of the state.
        activation: of the candidate and of the output.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: as in Keras.
        unit_forget_bias: add one to the forget gate's bias at the start (Jozefowicz et al. 2015).
        dropout: share of the input features to drop, the same ones at every time step.
        return_sequences: give all outputs (B, T, U), not only the last one (B, U).
        return_state: give `y, h, c`, as in Keras.
        go_backwards: run from the last time step to the first (then it is not causal).
        seed: of the dropout.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if `units` or `dropout` is out of range, or `x` or the state has a wrong shape.

    Example:

    ```python
    import numpy as np
    import keras_seq

    x = np.ones((2, 5, 3), "float32")
    layer = keras_seq.layers.LSTM(8, return_sequences=True)
    y, state = layer(x[:, :3], return_state=True)   # call on a part ...
    y, state = layer.step(x[:, 3:4], state)         # ... and step on
    print(y.shape)  # (2, 1, 8)
    ```
    """

    cell_class = LSTMCell

    def __init__(self, units, *args, unit_forget_bias=True, **kwargs):
        super().__init__(units, *args, **kwargs)
        self.unit_forget_bias = unit_forget_bias

    def _bias_initializer(self):
        if not self.unit_forget_bias:
            return self.bias_initializer

        def initializer(shape, dtype=None):
            units = self.units
            i = self.bias_initializer((units,), dtype=dtype)
            f = ops.ones((units,), dtype=dtype)
            g_and_o = self.bias_initializer((2 * units,), dtype=dtype)
            return ops.concatenate([i, f, g_and_o])

        return initializer

    def get_config(self):
        return {**super().get_config(), "unit_forget_bias": self.unit_forget_bias}


@keras.saving.register_keras_serializable(package="keras_seq")
class GRU(GatedRecurrentLayer):
    r"""Gated recurrent unit layer (Cho et al. 2014), reset after the product.

        z, r = sigmoid(x W + b + h U + c)             # update and reset gates
        g    = tanh   (x W_g + b_g + r * (h U_g + c_g))
        h'   = z * h + (1 - z) * g

    Weights are laid out as in `keras.layers.GRU` with its default `reset_after=True` (kernel,
    recurrent kernel, bias of shape (2, 3U); gates in the order z, r, g), so `set_weights` works
    both ways. The state is `[h]`.

    Args:
        units: U, width of the output and of the state.
        activation: of the candidate.
        recurrent_activation: of the gates.
        use_bias: whether there are biases.
        kernel_initializer, recurrent_initializer, bias_initializer: as in Keras.
        dropout: share of the input features to drop, the same ones at every time step.
        return_sequences: give all outputs (B, T, U), not only the last one (B, U).
        return_state: give `y, h`, as in Keras.
        go_backwards: run from the last time step to the first (then it is not causal).
        seed: of the dropout.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if `units` or `dropout` is out of range, or `x` or the state has a wrong shape.

    Example:

    ```python
    import numpy as np
    import keras_seq

    encoder = keras_seq.layers.GRU(8, return_sequences=True, return_state=True)
    memory, state = encoder(np.ones((2, 5, 3), "float32"))
    print(memory.shape, state.shape)  # (2, 5, 8) (2, 8)
    ```
    """

    cell_class = GRUCell
