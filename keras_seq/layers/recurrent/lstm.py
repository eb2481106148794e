"""`LSTMCell` and `LSTM`, long short-term memory."""

import keras
from keras import ops

from keras_seq.layers.recurrent._fused_kernel import LayerWithFusedKernel
from keras_seq.layers.recurrent.gated_cell import GatedCell, check_implementation


@keras.saving.register_keras_serializable(package="keras_seq")
class LSTMCell(GatedCell):
    r"""Long short-term memory (Hochreiter & Schmidhuber 1997; gates as in Gers et al. 2000).

    Four gates look at the input and at the previous output:

        i = sigmoid(x W_i + h U_i + b_i)    # what to store
        f = sigmoid(x W_f + h U_f + b_f)    # what to keep
        g = tanh   (x W_g + h U_g + b_g)    # the candidate
        o = sigmoid(x W_o + h U_o + b_o)    # what to show

    The cell state is a conveyor belt, `c' = f * c + i * g`; the output is `h' = o * tanh(c')`.

    Args:
        units: U, width of the output and of each part of the state.
        activation: of the candidate and of the output.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: of W, U and b.
        unit_forget_bias: add one to the forget gate's bias at the start (Jozefowicz et al. 2015).
        kernel_regularizer, recurrent_regularizer, bias_regularizer: as in Keras.
        kernel_constraint, recurrent_constraint, bias_constraint: as in Keras.
        dropout: fraction of the input features to drop, one mask for all time steps.
        recurrent_dropout: fraction of h to drop before its product (Gal & Ghahramani 2016).
        seed: of dropout and zoneout.
        zoneout: fraction of the state's units that keep their old value at a time step; at
            inference the expected value of both is taken (Krueger et al. 2017, section 3).
        implementation: 1 or 2 (0 in old files), as in Keras; without effect, because the products
            of all gates are one here.
        **kwargs: arguments of `keras.layers.Layer` (`name`, `dtype`, `trainable`).

    Call arguments:
        x: (B, D) inputs of one time step.
        states: list of (B, U) tensors.
        training: whether dropout and zoneout are on.

    Returns:
        `(h, states)`.

    Raises:
        ValueError: if an argument is out of range.

    Example:

    ```python
    import numpy as np
    import keras_seq

    cell = keras_seq.layers.LSTMCell(4)
    h, (h, c) = cell(np.ones((2, 3), "float32"), cell.get_initial_state(2))
    print(h.shape, c.shape)  # (2, 4) (2, 4)
    ```
    """

    num_gates = 4
    state_names = ("h", "c")

    def gates(self, z, state):
        i, f, g, o = ops.split(z, 4, axis=-1)  # (B, U) each
        i, f, o = map(self.recurrent_activation, (i, f, o))
        return {"i": i, "f": f, "g": self.activation(g), "o": o}

    def pointwise(self, z, state):
        _, c = state
        i, f, g, o = self.gates(z, state).values()
        c = f * c + i * g
        return [o * self.activation(c), c]

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        *,
        zoneout=0.0,
        implementation=2,
        **kwargs,
    ):
        super().__init__(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            zoneout=zoneout,
            **kwargs,
        )
        check_implementation(type(self).__name__, implementation)
        self.implementation = implementation
        self.unit_forget_bias = unit_forget_bias

    def initial_bias(self, shape, dtype=None):
        if not self.unit_forget_bias:
            return super().initial_bias(shape, dtype)
        i = self.bias_initializer((self.units,), dtype=dtype)
        f = ops.ones((self.units,), dtype=dtype)
        g_and_o = self.bias_initializer((2 * self.units,), dtype=dtype)
        return ops.concatenate([i, f, g_and_o])

    def get_config(self):
        return {
            **super().get_config(),
            "unit_forget_bias": self.unit_forget_bias,
            "implementation": self.implementation,
        }


@keras.saving.register_keras_serializable(package="keras_seq")
class LSTM(LayerWithFusedKernel):
    r"""Long short-term memory layer (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

        i, f, o = sigmoid(x W + h U + b)    # input, forget and output gates
        g       = tanh   (x W_g + h U_g + b_g)
        c'      = f * c + i * g
        h'      = o * tanh(c')

    Weights are laid out as in `keras.layers.LSTM` (kernel, recurrent kernel, bias; gates in the
    order i, f, g, o), so `set_weights` works both ways. The state is `[h, c]`.

    Args:
        units: U, width of the output and of each part of the state.
        activation: of the candidate and of the output.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: of W, U and b.
        unit_forget_bias: add one to the forget gate's bias at the start (Jozefowicz et al. 2015).
        kernel_regularizer, recurrent_regularizer, bias_regularizer: as in Keras.
        activity_regularizer: of the output.
        kernel_constraint, recurrent_constraint, bias_constraint: as in Keras.
        dropout: fraction of the input features to drop, one mask for all time steps.
        recurrent_dropout: fraction of h to drop before its product (Gal & Ghahramani 2016).
        seed: of dropout and zoneout.
        return_sequences: give all outputs (B, T, U), not only the last one (B, U).
        return_state: give `y, *state`.
        go_backwards: run from the last time step to the first; outputs are in the order of running.
        stateful: begin each call where the last one ended, until `reset_state`.
        unroll: each time step in the graph instead of a loop; T must be known.
        use_cudnn: whether cuDNN computes a whole call on a GPU (TensorFlow, JAX and PyTorch):
            "auto" where it gives the same numbers (default activations, `use_bias`, no `unroll`,
            `recompute`, `recurrent_dropout`, `zoneout` or `reset`; a mask on TensorFlow only, with
            all padding on the right; float32 on JAX), True always, with an error where it cannot,
            False never. As in Keras, XLA does not compile a TensorFlow model with cuDNN in it.
        zero_output_for_mask: with `return_sequences`, zeros as the outputs of masked steps.
        implementation: 1 or 2 (0 in old files), as in Keras; without effect, because the products
            of all gates are one here.
        zoneout: fraction of the state's units that keep their old value at a time step; at
            inference the expected value of both is taken (Krueger et al. 2017, section 3).
        recompute: number of time steps in a segment that is run again for the gradient, see `RNN`.
        **kwargs: arguments of `keras.layers.Layer` (`name`, `dtype`, `trainable`).

    Call arguments, returns: see `RNN.call`.

    Raises:
        ValueError: if an argument is out of range.

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

    kernel_name = "lstm"

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        use_cudnn="auto",
        *,
        zero_output_for_mask=False,
        implementation=2,
        zoneout=0.0,
        recompute=None,
        **kwargs,
    ):
        cell = LSTMCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            zoneout=zoneout,
            implementation=implementation,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="lstm_cell",
        )
        super().__init__(
            cell,
            use_cudnn,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            zero_output_for_mask=zero_output_for_mask,
            recompute=recompute,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )

    recurrent_activation = property(lambda self: self.cell.recurrent_activation)
    unit_forget_bias = property(lambda self: self.cell.unit_forget_bias)
    implementation = property(lambda self: self.cell.implementation)
