"""Root mean square normalization (Zhang & Sennrich 2019)."""

import keras
from keras import ops

from keras_seq.layers._arguments import check_epsilon
from keras_seq.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_seq")
class RMSNormalization(SequenceLayer):
    r"""Divides the features of a time step by their root mean square (Zhang & Sennrich 2019).

        y = scale * x / sqrt(mean(x^2) + epsilon)

    (section 4.) It is `keras.layers.RMSNormalization` over the last axis, except that it passes on
    the mask of its input, which the loss of a model needs.

    Args:
        epsilon: added to the mean square.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if `epsilon` is no positive number.

    Example:

    ```python
    import numpy as np
    import keras_seq

    y = keras_seq.layers.RMSNormalization()(np.array([[[3.0, 4.0]]], "float32"))
    print(np.array(y))  # [[[0.85, 1.13]]]: divided by sqrt(12.5)
    ```
    """

    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        check_epsilon("RMSNormalization", epsilon=epsilon)
        self.epsilon = epsilon

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=input_shape[-1:], initializer="ones")

    def call(self, x, initial_state=None, return_state=False):
        """Normalize each time step.

        Args:
            x: (B, T, D) floats.
            initial_state, return_state: the contract's; there is no state.

        Returns:
            (B, T, D), then the empty state where asked for.
        """
        y = ops.rms_normalization(x, scale=self.scale, epsilon=self.epsilon)
        return (y, ()) if return_state else y

    def compute_output_shape(self, x_shape):
        return tuple(x_shape)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}
