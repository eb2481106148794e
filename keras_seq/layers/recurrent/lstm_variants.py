"""`PeepholeLSTMCell` and `LayerNormLSTMCell`, two variants of the LSTM."""

import keras
from keras import ops

from keras_seq.layers._arguments import check_epsilon
from keras_seq.layers.recurrent.lstm import LSTMCell


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
        peephole_initializer: of p.
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
        peephole_initializer="zeros",
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
            **kwargs,
        )
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
        epsilon: added to the variance.
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
        epsilon=1e-3,
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
            **kwargs,
        )
        check_epsilon(type(self).__name__, epsilon=epsilon)
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
