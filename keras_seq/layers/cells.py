"""Gated recurrent cells: their equations and nothing else; the engine knows about time."""

import keras
from keras import ops

from keras_seq.layers.arguments import check_positive


class GatedCell:
    r"""What the recurrence engine needs to know of a cell.

    A gated cell reads two products and updates its state elementwise:

        x_t W + b       for all time steps in one product, before the loop (hoisted)
        h_{t-1} U + c   inside the loop
        state_t = pointwise(x_t W + b, h_{t-1} U + c, state_{t-1})

    Attributes:
        num_gates: how many U-wide blocks the products have.
        state_names: the parts of the state; the first one is h, which is also the output.
        has_recurrent_bias: whether the second product has a bias of its own.
    """

    num_gates = 1
    state_names = ("h",)
    has_recurrent_bias = False

    def __init__(self, units, activation="tanh", recurrent_activation="sigmoid"):
        check_positive(type(self).__name__, units=units)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.recurrent_activation = keras.activations.get(recurrent_activation)

    def pointwise(self, x, h, state):
        """One time step: products in, new state out.

        Args:
            x: (B, num_gates * U), x_t W + b.
            h: (B, num_gates * U), h_{t-1} U.
            state: list of (B, U) tensors, one for each of `state_names`.

        Returns:
            The new state, a list like `state`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `pointwise`")


class LSTMCell(GatedCell):
    r"""Long short-term memory (Hochreiter & Schmidhuber 1997; gates as in Gers et al. 2000).

    Four gates look at the input and at the previous output:

        i = sigmoid(x W_i + h U_i + b_i)    # what to store
        f = sigmoid(x W_f + h U_f + b_f)    # what to keep
        g = tanh   (x W_g + h U_g + b_g)    # the candidate
        o = sigmoid(x W_o + h U_o + b_o)    # what to show

    The cell state is a conveyor belt, `c' = f * c + i * g`; the output is `h' = o * tanh(c')`.
    """

    num_gates = 4
    state_names = ("h", "c")

    def pointwise(self, x, h, state):
        _, c = state
        i, f, g, o = ops.split(x + h, 4, axis=-1)  # (B, U) each
        i, f, o = map(self.recurrent_activation, (i, f, o))
        c = f * c + i * self.activation(g)
        return [o * self.activation(c), c]


class GRUCell(GatedCell):
    r"""Gated recurrent unit, reset after the product (Cho et al. 2014; the cuDNN and Keras form).

        z = sigmoid(x W_z + h U_z + b_z + c_z)        # how much of the past to keep
        r = sigmoid(x W_r + h U_r + b_r + c_r)        # how much of it the candidate may see
        g = tanh   (x W_g + b_g + r * (h U_g + c_g))  # the candidate

    The output is its own state, `h' = z * h + (1 - z) * g`. The recurrent product has a bias `c` of
    its own because the reset gate multiplies it.
    """

    num_gates = 3
    has_recurrent_bias = True

    def pointwise(self, x, h, state):
        (previous,) = state
        x_z, x_r, x_g = ops.split(x, 3, axis=-1)  # (B, U) each
        h_z, h_r, h_g = ops.split(h, 3, axis=-1)
        z = self.recurrent_activation(x_z + h_z)
        r = self.recurrent_activation(x_r + h_r)
        g = self.activation(x_g + r * h_g)
        return [z * previous + (1 - z) * g]
