"""`GRUCell` and `GRU`, the gated recurrent unit."""

import keras
from keras import ops

from keras_seq.layers.recurrent._fused_kernel import LayerWithFusedKernel
from keras_seq.layers.recurrent.gated_cell import GatedCell, check_implementation


@keras.saving.register_keras_serializable(package="keras_seq")
class GRUCell(GatedCell):
    r"""Gated recurrent unit (Cho et al. 2014), in two forms.

    Reset after the product (`reset_after=True`; the cuDNN and Keras form):

        z = sigmoid(x W_z + h U_z + b_z + c_z)        # how much of the past to keep
        r = sigmoid(x W_r + h U_r + b_r + c_r)        # how much of it the candidate reads
        g = tanh   (x W_g + b_g + r * (h U_g + c_g))  # the candidate

    Reset before the product (`reset_after=False`; Cho et al. 2014, equations 5 to 8):

        g = tanh   (x W_g + b_g + (r * h) U_g)

    The output is its own state, `h' = z * h + (1 - z) * g`. Behind the reset gate the recurrent
    product needs a bias c of its own; before it, c is left out. The form with reset before the
    product multiplies inside a gate, so its gradient is that of the loop as it stands.

    Args:
        units: U, width of the output and of each part of the state.
        activation: of the candidate and of the output.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: of W, U and b.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: as in Keras.
        kernel_constraint, recurrent_constraint, bias_constraint: as in Keras.
        dropout: fraction of the input features to drop, one mask for all time steps.
        recurrent_dropout: fraction of h to drop before its product (Gal & Ghahramani 2016).
        reset_after: which form.
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

    cell = keras_seq.layers.GRUCell(4, reset_after=False)
    h, (h,) = cell(np.ones((2, 3), "float32"), cell.get_initial_state(2))
    print(h.shape)  # (2, 4)
    ```
    """

    num_gates = 3

    def gates(self, x, h, state):
        x_z, x_r, x_g = ops.split(x, 3, axis=-1)  # (B, U) each
        h_z, h_r, h_g = ops.split(h, 3, axis=-1)
        z = self.recurrent_activation(x_z + h_z)
        r = self.recurrent_activation(x_r + h_r)
        return {"z": z, "r": r, "g": self.activation(x_g + r * h_g)}

    def update(self, x, h, state):
        (previous,) = state
        z, _, g = self.gates(x, h, state).values()
        return [z * previous + (1 - z) * g]

    def gates_before(self, x, state, kernel, bias, weights):
        if self.reset_after:
            return super().gates_before(x, state, kernel, bias, weights)
        (previous,), width = state, 2 * self.units
        h = ops.matmul(previous, kernel[:, :width])
        h = ops.concatenate([h, ops.zeros_like(previous)], axis=-1)
        r = self.gates(x, h, state)["r"]  # which the candidate's product depends on
        inside = ops.matmul(r * previous, kernel[:, width:])
        x = ops.concatenate([x[:, :width], x[:, width:] + inside], axis=-1)
        return self.gates(x, h, state)

    def advance(self, x, h, state, kernel, bias, weights):
        if self.reset_after:
            return super().advance(x, h, state, kernel, bias, weights)
        x_z, x_r, x_g = ops.split(x, 3, axis=-1)  # (B, U) each
        h_z, h_r = ops.split(ops.matmul(h, kernel[:, : 2 * self.units]), 2, axis=-1)
        z = self.recurrent_activation(x_z + h_z)
        r = self.recurrent_activation(x_r + h_r)
        g = self.activation(x_g + ops.matmul(r * h, kernel[:, 2 * self.units :]))
        return [z * state[0] + (1 - z) * g]

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        reset_after=True,
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
        self.reset_after = reset_after

    @property
    def has_recurrent_bias(self):
        return self.reset_after

    @property
    def products_inside_gates(self):
        return not self.reset_after

    def get_config(self):
        return {
            **super().get_config(),
            "reset_after": self.reset_after,
            "implementation": self.implementation,
        }


@keras.saving.register_keras_serializable(package="keras_seq")
class GRU(LayerWithFusedKernel):
    r"""Gated recurrent unit layer (Cho et al. 2014), reset after the product or before it.

        z, r = sigmoid(x W + b + h U + c)             # update and reset gates
        g    = tanh   (x W_g + b_g + r * (h U_g + c_g))
        h'   = z * h + (1 - z) * g

    Weights are laid out as in `keras.layers.GRU` (kernel, recurrent kernel, bias of shape (2, 3U),
    or (3U,) with `reset_after=False`; gates in the order z, r, g), so `set_weights` works both
    ways. The state is `[h]`.

    Args:
        units: U, width of the output and of each part of the state.
        activation: of the candidate and of the output.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: of W, U and b.
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
        reset_after: which form.
        use_cudnn: whether cuDNN computes a whole call on a GPU (TensorFlow and PyTorch): "auto"
            where it gives the same numbers (default activations, `use_bias`, `reset_after`, no
            `unroll`, `recompute`, `recurrent_dropout`, `zoneout` or `reset`; a mask on TensorFlow
            only, with all padding on the right), True always, with an error where it cannot, False
            never. As in Keras, XLA does not compile a TensorFlow model with cuDNN in it.
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

    encoder = keras_seq.layers.GRU(8, return_sequences=True, return_state=True)
    memory, state = encoder(np.ones((2, 5, 3), "float32"))
    print(memory.shape, state.shape)  # (2, 5, 8) (2, 8)
    ```
    """

    kernel_name = "gru"

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
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
        reset_after=True,
        use_cudnn="auto",
        *,
        zero_output_for_mask=False,
        implementation=2,
        zoneout=0.0,
        recompute=None,
        **kwargs,
    ):
        cell = GRUCell(
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
            reset_after=reset_after,
            seed=seed,
            zoneout=zoneout,
            implementation=implementation,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="gru_cell",
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
    reset_after = property(lambda self: self.cell.reset_after)
    implementation = property(lambda self: self.cell.implementation)
