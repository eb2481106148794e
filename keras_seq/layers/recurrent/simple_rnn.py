"""`SimpleRNNCell` and `SimpleRNN`, Elman's network."""

import keras

from keras_seq.layers.recurrent._layer_of_one_cell import LayerOfOneCell
from keras_seq.layers.recurrent.gated_cell import GatedCell


@keras.saving.register_keras_serializable(package="keras_seq")
class SimpleRNNCell(GatedCell):
    r"""Elman's recurrent network (Elman 1990).

        h' = tanh(x W + h U + b)

    Args:
        units: U, width of the output and of each part of the state.
        activation: "tanh", "sigmoid", "relu" or any other.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: of W, U and b.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: as in Keras.
        kernel_constraint, recurrent_constraint, bias_constraint: as in Keras.
        dropout: fraction of the input features to drop, one mask for all time steps.
        recurrent_dropout: fraction of h to drop before its product (Gal & Ghahramani 2016).
        seed: of dropout and zoneout.
        zoneout: fraction of the state's units that keep their old value at a time step; at
            inference the expected value of both is taken (Krueger et al. 2017, section 3).
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

    cell = keras_seq.layers.SimpleRNNCell(4, activation="relu")
    h, state = cell(np.ones((2, 3), "float32"), cell.get_initial_state(2))
    print(h.shape)  # (2, 4)
    ```
    """

    def pointwise(self, z, state):
        return [self.activation(z)]

    def __init__(
        self,
        units,
        activation="tanh",
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
        seed=None,
        *,
        zoneout=0.0,
        **kwargs,
    ):
        super().__init__(
            units,
            activation=activation,
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

    def get_config(self):
        config = super().get_config()
        config.pop("recurrent_activation")  # there is no gate
        return config


@keras.saving.register_keras_serializable(package="keras_seq")
class SimpleRNN(LayerOfOneCell):
    r"""Elman's recurrent layer (Elman 1990), `h' = tanh(x W + h U + b)`.

    Args:
        units: U, width of the output and of each part of the state.
        activation: "tanh", "sigmoid", "relu" or any other.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: of W, U and b.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: as in Keras.
        activity_regularizer: of the output.
        kernel_constraint, recurrent_constraint, bias_constraint: as in Keras.
        dropout: fraction of the input features to drop, one mask for all time steps.
        recurrent_dropout: fraction of h to drop before its product (Gal & Ghahramani 2016).
        return_sequences: give all outputs (B, T, U), not only the last one (B, U).
        return_state: give `y, *state`.
        go_backwards: run from the last time step to the first; outputs are in the order of running.
        stateful: begin each call where the last one ended, until `reset_state`.
        unroll: each time step in the graph instead of a loop; T must be known.
        seed: of dropout and zoneout.
        zero_output_for_mask: with `return_sequences`, zeros as the outputs of masked steps.
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

    layer = keras_seq.layers.SimpleRNN(8, activation="relu")
    print(layer(np.ones((2, 5, 3), "float32")).shape)  # (2, 8)
    ```
    """

    def __init__(
        self,
        units,
        activation="tanh",
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
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        seed=None,
        *,
        zero_output_for_mask=False,
        zoneout=0.0,
        recompute=None,
        **kwargs,
    ):
        cell = SimpleRNNCell(
            units,
            activation=activation,
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
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="simple_rnn_cell",
        )
        super().__init__(
            cell,
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
