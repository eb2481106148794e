"""A layer for one step, applied to every step of a sequence."""

import keras
from keras import ops

from keras_seq.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_seq")
class EachStep(SequenceLayer):
    r"""Applies a layer to each time step alone, such as convolutions to the frames of a clip.

        y_t = layer(x_t)

    The steps go through the layer as B T rows of one call, so a batch of clips costs what as many
    single frames cost. (`keras.layers.TimeDistributed` calls its layer T times, and where T is not
    known it takes the batch size for T; seen in Keras 3.15.)

    Args:
        layer: a `keras.layers.Layer` for rows (N, ...), also a `keras.Sequential`.

    Call arguments, returns: see `call`.

    Raises:
        TypeError: if `layer` is none.
        ValueError: if `x` has no features after its time axis.

    Example:

    ```python
    import keras
    import numpy as np
    import keras_seq

    frames = np.ones((2, 5, 8, 8, 1), "float32")  # (B, T, H, W, C)
    print(keras_seq.layers.EachStep(keras.layers.Conv2D(4, 3))(frames).shape)  # (2, 5, 6, 6, 4)
    ```
    """

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(layer, keras.layers.Layer):
            raise TypeError(
                f"`layer` of EachStep must be a keras.layers.Layer. Received: {layer!r} of type "
                f"{type(layer).__name__}"
            )
        self.layer = layer

    def build(self, input_shape):
        if len(input_shape) < 3:
            raise ValueError(
                "`x` of EachStep must have shape (B, T, ...), with at least one axis of features. "
                f"Received: x of shape {tuple(input_shape)}"
            )
        if not self.layer.built:
            self.layer.build((None, *input_shape[2:]))

    def call(self, x, initial_state=None, return_state=False, training=None):
        """Apply the layer.

        Args:
            x: (B, T, ...).
            initial_state, return_state: the contract's; there is no state.
            training: handed to the layer.

        Returns:
            (B, T, ...) of what the layer gives, in this layer's dtype, then the empty state where
            asked for.
        """
        batch, time = ops.shape(x)[:2]
        y = self.layer(ops.reshape(x, (-1, *x.shape[2:])))  # Keras hands on `training` itself
        y = ops.cast(ops.reshape(y, (batch, time, *y.shape[1:])), self.compute_dtype)
        return (y, ()) if return_state else y

    def compute_output_shape(self, x_shape):
        features = self.layer.compute_output_shape((None, *x_shape[2:]))[1:]
        return (*x_shape[:2], *features)

    def get_config(self):
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer}

    @classmethod
    def from_config(cls, config):
        layer = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**{**config, "layer": layer})
