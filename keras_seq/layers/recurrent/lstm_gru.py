"""`SimpleRNN`, `LSTM` and `GRU`: a cell and the layer that runs it, under Keras' names."""

import keras

from keras_seq.layers.recurrent.cells import GRUCell, LSTMCell, SimpleRNNCell
from keras_seq.layers.recurrent.rnn import RNN

# Arguments of `keras.layers.Layer` that a cell takes, too, where they would do nothing.
_OF_THE_LAYER = ("activity_regularizer", "input_dim", "input_shape")


class _LayerOfOneCell(RNN):
    """A layer that makes its own cell: the cell's arguments are the layer's."""

    cell_class = None

    def __init__(
        self,
        units,
        *args,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        recompute=None,
        name=None,
        trainable=True,
        dtype=None,
        **kwargs,
    ):
        own = {name: kwargs.pop(name) for name in _OF_THE_LAYER if name in kwargs}
        super().__init__(
            self.cell_class(units, *args, dtype=dtype, **kwargs),
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            recompute=recompute,
            name=name,
            trainable=trainable,
            dtype=dtype,
            **own,
        )

    def get_config(self):
        config = super().get_config()
        del config["cell"]
        cell = self.cell.get_config()
        return {**cell, **config}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_seq")
class SimpleRNN(_LayerOfOneCell):
    r"""Elman's recurrent layer (Elman 1990), `h' = tanh(x W + h U + b)`.

    Args:
        units: U, width of the output and of the state.
        activation: "tanh", "sigmoid", "relu" or any other.
        *args, **kwargs: of the cell, see `SimpleRNNCell` and `GatedCell` (initializers, dropout,
            recurrent_dropout, zoneout, ...), and of `RNN` (return_sequences, return_state,
            go_backwards, stateful, recompute).

    Call arguments, returns: see `RNN.call`.

    Example:

    ```python
    import numpy as np
    import keras_seq

    layer = keras_seq.layers.SimpleRNN(8, activation="relu")
    print(layer(np.ones((2, 5, 3), "float32")).shape)  # (2, 8)
    ```
    """

    cell_class = SimpleRNNCell


@keras.saving.register_keras_serializable(package="keras_seq")
class LSTM(_LayerOfOneCell):
    r"""Long short-term memory layer (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

        i, f, o = sigmoid(x W + h U + b)    # input, forget and output gates
        g       = tanh   (x W_g + h U_g + b_g)
        c'      = f * c + i * g
        h'      = o * tanh(c')

    Weights are laid out as in `keras.layers.LSTM` (kernel, recurrent kernel, bias; gates in the
    order i, f, g, o), so `set_weights` works both ways. The state is `[h, c]`.

    Args:
        units: U, width of the output and of the state.
        *args, **kwargs: of the cell, see `LSTMCell` and `GatedCell` (activations, initializers,
            unit_forget_bias, dropout, recurrent_dropout, zoneout, ...), and of `RNN`
            (return_sequences, return_state, go_backwards, stateful, recompute).

    Call arguments, returns: see `RNN.call`.

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


@keras.saving.register_keras_serializable(package="keras_seq")
class GRU(_LayerOfOneCell):
    r"""Gated recurrent unit layer (Cho et al. 2014), reset after the product or before it.

        z, r = sigmoid(x W + b + h U + c)             # update and reset gates
        g    = tanh   (x W_g + b_g + r * (h U_g + c_g))
        h'   = z * h + (1 - z) * g

    Weights are laid out as in `keras.layers.GRU` (kernel, recurrent kernel, bias of shape (2, 3U),
    or (3U,) with `reset_after=False`; gates in the order z, r, g), so `set_weights` works both
    ways. The state is `[h]`.

    Args:
        units: U, width of the output and of the state.
        *args, **kwargs: of the cell, see `GRUCell` and `GatedCell` (activations, initializers,
            reset_after, dropout, recurrent_dropout, zoneout, ...), and of `RNN`
            (return_sequences, return_state, go_backwards, stateful, recompute).

    Call arguments, returns: see `RNN.call`.

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
