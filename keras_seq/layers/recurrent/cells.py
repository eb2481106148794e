"""The recurrent cells: their equations and nothing else; the engine knows about time."""

import keras
from keras import ops

from keras_seq.layers.recurrent.gated_cell import GatedCell


@keras.saving.register_keras_serializable(package="keras_seq")
class SimpleRNNCell(GatedCell):
    r"""Elman's recurrent network (Elman 1990).

        h' = tanh(x W + h U + b)

    Args:
        units: U, width of the state.
        activation: "tanh", "sigmoid", "relu" or any other.
        **kwargs: see `GatedCell`.

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

    def __init__(self, units, activation="tanh", **kwargs):
        super().__init__(units, activation, **kwargs)

    def get_config(self):
        config = super().get_config()
        config.pop("recurrent_activation")  # there is no gate
        return config


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
        units: U, width of each part of the state.
        unit_forget_bias: add one to the forget gate's bias at the start (Jozefowicz et al. 2015).
        *args, **kwargs: see `GatedCell`.

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

    def __init__(self, units, *args, unit_forget_bias=True, **kwargs):
        super().__init__(units, *args, **kwargs)
        self.unit_forget_bias = unit_forget_bias

    def initial_bias(self, shape, dtype=None):
        if not self.unit_forget_bias:
            return super().initial_bias(shape, dtype)
        i = self.bias_initializer((self.units,), dtype=dtype)
        f = ops.ones((self.units,), dtype=dtype)
        g_and_o = self.bias_initializer((2 * self.units,), dtype=dtype)
        return ops.concatenate([i, f, g_and_o])

    def get_config(self):
        return {**super().get_config(), "unit_forget_bias": self.unit_forget_bias}


@keras.saving.register_keras_serializable(package="keras_seq")
class PeepholeLSTMCell(LSTMCell):
    r"""LSTM whose gates see the cell state (Gers, Schraudolph & Schmidhuber 2002, section 2).

        i = sigmoid(x W_i + h U_i + p_i * c + b_i)
        f = sigmoid(x W_f + h U_f + p_f * c + b_f)
        g = tanh   (x W_g + h U_g + b_g)
        c' = f * c + i * g
        o = sigmoid(x W_o + h U_o + p_o * c' + b_o)    # the output gate sees the new cell state
        h' = o * tanh(c')

    The weights p of the peepholes are vectors, (3, U) in the order i, f, o, the last weight.

    Args:
        units: U, width of each part of the state.
        peephole_initializer: of p.
        *args, **kwargs: see `LSTMCell`.

    Example:

    ```python
    import numpy as np
    import keras_seq

    layer = keras_seq.layers.RNN(keras_seq.layers.PeepholeLSTMCell(4))
    print(layer(np.ones((2, 5, 3), "float32")).shape)  # (2, 4)
    ```
    """

    def gates(self, z, state, p):
        _, c = state
        p_i, p_f, p_o = p[0], p[1], p[2]  # (U,) each
        i, f, g, o = ops.split(z, 4, axis=-1)  # (B, U) each
        i = self.recurrent_activation(i + p_i * c)
        f = self.recurrent_activation(f + p_f * c)
        g = self.activation(g)
        o = self.recurrent_activation(o + p_o * (f * c + i * g))
        return {"i": i, "f": f, "g": g, "o": o}

    def pointwise(self, z, state, p):
        _, c = state
        i, f, g, o = self.gates(z, state, p).values()
        c = f * c + i * g
        return [o * self.activation(c), c]

    def __init__(self, units, *args, peephole_initializer="zeros", **kwargs):
        super().__init__(units, *args, **kwargs)
        self.peephole_initializer = keras.initializers.get(peephole_initializer)

    def build_update(self):
        self.peephole = self.add_weight(
            name="peephole", shape=(3, self.units), initializer=self.peephole_initializer
        )

    def update_weights(self):
        return [self.peephole]

    def get_config(self):
        initializer = keras.initializers.serialize(self.peephole_initializer)
        return {**super().get_config(), "peephole_initializer": initializer}


@keras.saving.register_keras_serializable(package="keras_seq")
class LayerNormLSTMCell(LSTMCell):
    r"""LSTM with layer normalization (Ba, Kiros & Hinton 2016, supplementary material, eq. 20-22).

        i, f, g, o = split(norm(x W + b) + norm(h U), 4)
        c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h' = sigmoid(o) * tanh(norm(c'))
        norm(v) = gamma * (v - mean(v)) / sqrt(var(v) + epsilon) + beta

    Each `norm` has weights of its own over its features. The bias b stands inside the first one,
    where Keras' layout has it; what the gates add is the two betas.

    Args:
        units: U, width of each part of the state.
        epsilon: added to the variance.
        *args, **kwargs: see `LSTMCell`.

    Example:

    ```python
    import numpy as np
    import keras_seq

    layer = keras_seq.layers.RNN(keras_seq.layers.LayerNormLSTMCell(4), return_sequences=True)
    print(layer(np.ones((2, 5, 3), "float32")).shape)  # (2, 5, 4)
    ```
    """

    def gates(self, x, h, state, gamma_x, beta_x, gamma_h, beta_h, *_):
        z = self.norm(x, gamma_x, beta_x) + self.norm(h, gamma_h, beta_h)
        return super().gates(z, state)

    def update(self, x, h, state, *weights):
        _, c = state
        i, f, g, o = self.gates(x, h, state, *weights).values()
        c = f * c + i * g
        return [o * self.activation(self.norm(c, *weights[-2:])), c]

    def norm(self, v, gamma, beta):
        mean = ops.mean(v, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(v - mean), axis=-1, keepdims=True)
        return gamma * (v - mean) * ops.rsqrt(variance + self.epsilon) + beta

    def __init__(self, units, *args, epsilon=1e-3, **kwargs):
        super().__init__(units, *args, **kwargs)
        self.epsilon = epsilon

    def build_update(self):
        widths = {"x": 4 * self.units, "h": 4 * self.units, "c": self.units}
        self.norms = []
        for name, width in widths.items():
            for kind, initializer in (("gamma", "ones"), ("beta", "zeros")):
                key = f"{kind}_{name}"
                self.norms.append(
                    self.add_weight(name=key, shape=(width,), initializer=initializer)
                )
                setattr(self, key, self.norms[-1])  # where tf.train.Checkpoint looks

    def update_weights(self):
        return self.norms

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="keras_seq")
class GRUCell(GatedCell):
    r"""Gated recurrent unit (Cho et al. 2014), in two forms.

    Reset after the product (`reset_after=True`; the cuDNN and Keras form):

        z = sigmoid(x W_z + h U_z + b_z + c_z)        # how much of the past to keep
        r = sigmoid(x W_r + h U_r + b_r + c_r)        # how much of it the candidate may see
        g = tanh   (x W_g + b_g + r * (h U_g + c_g))  # the candidate

    Reset before the product (`reset_after=False`; Cho et al. 2014, equations 5 to 8):

        g = tanh   (x W_g + b_g + (r * h) U_g)

    The output is its own state, `h' = z * h + (1 - z) * g`. Behind the reset gate the recurrent
    product needs a bias c of its own; before it, c is left out. The form with reset before the
    product multiplies inside a gate, so its gradient is that of the loop as it stands.

    Args:
        units: U, width of the state.
        reset_after: which form.
        *args, **kwargs: see `GatedCell`.

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
        r = self.gates(x, h, state)["r"]  # which the candidate's product hangs on
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

    def __init__(self, units, *args, reset_after=True, **kwargs):
        super().__init__(units, *args, **kwargs)
        self.reset_after = reset_after

    @property
    def has_recurrent_bias(self):
        return self.reset_after

    @property
    def products_inside_gates(self):
        return not self.reset_after

    def get_config(self):
        return {**super().get_config(), "reset_after": self.reset_after}
