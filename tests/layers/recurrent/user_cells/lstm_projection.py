"""An LSTM with a recurrent projection, whose two states have different widths."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="my_package")
class ProjectionLSTMCell(keras.layers.Layer):
    r"""LSTM with a recurrent projection layer (Sak et al. 2014), here without peepholes.

        i, f, o = sigmoid(x W + r U + b)
        g       = tanh   (x W_g + r U_g + b_g)
        c'      = f * c + i * g
        r'      = (o * tanh(c')) P

    The output r has `projection` features, the cell state c has `units`.
    """

    def __init__(self, units, projection, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.projection = projection
        self.state_size = [projection, units]
        self.output_size = projection

    def build(self, input_shape):
        width = 4 * self.units
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], width))
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel", shape=(self.projection, width)
        )
        self.bias = self.add_weight(name="bias", shape=(width,), initializer="zeros")
        self.projection_kernel = self.add_weight(
            name="projection_kernel", shape=(self.units, self.projection)
        )

    def call(self, x, states):
        r, c = states  # (B, projection), (B, units)
        z = ops.matmul(x, self.kernel) + ops.matmul(r, self.recurrent_kernel) + self.bias
        i, f, g, o = ops.split(z, 4, axis=-1)  # (B, units) each
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        r = ops.matmul(ops.sigmoid(o) * ops.tanh(c), self.projection_kernel)
        return r, [r, c]

    def get_config(self):
        return {**super().get_config(), "units": self.units, "projection": self.projection}
