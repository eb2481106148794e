"""minGRU, a cell without a recurrent kernel."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="my_package")
class MinGRUCell(keras.layers.Layer):
    r"""Minimal gated recurrent unit (Feng et al. 2024, section 3.1): gates of the input alone.

    z  = sigmoid(x W_z + b_z)
    g  = x W_g + b_g
    h' = (1 - z) * h + z * g
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 2 * self.units))
        self.bias = self.add_weight(name="bias", shape=(2 * self.units,), initializer="zeros")

    def call(self, x, states):
        (h,) = states  # (B, units)
        z, g = ops.split(ops.matmul(x, self.kernel) + self.bias, 2, axis=-1)
        z = ops.sigmoid(z)
        h = (1 - z) * h + z * g
        return h, [h]

    def get_config(self):
        return {**super().get_config(), "units": self.units}
