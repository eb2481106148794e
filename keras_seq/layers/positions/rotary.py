"""Rotary positions (Su et al. 2021)."""

import keras
import numpy as np
from keras import ops

from keras_seq.layers._documents import by_rows, checked_reset, document_offsets
from keras_seq.layers._padded_chunk import steps_in
from keras_seq.layers.positions.position_scheme import PositionScheme
from keras_seq.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_seq")
class RotaryEmbedding(SequenceLayer, PositionScheme):
    r"""Rotates pairs of features by an angle that grows with time (Su et al. 2021, RoFormer).

        angle_i = t / (scaling_factor * max_wavelength^(2 i / K))        # i = 0 .. K/2 - 1
        y_i         = x_i cos(angle_i) - x_{i + K/2} sin(angle_i)
        y_{i + K/2} = x_{i + K/2} cos(angle_i) + x_i sin(angle_i)

    (section 3.2.2, equation 34.) The product of two rotated vectors depends on the distance of
    their positions alone, which is why queries and keys are rotated. The paper pairs neighbors, 2i
    with 2i + 1; here, as in KerasHub, the halves are paired, which is the same up to a fixed
    permutation of the features. The state is the position of the next time step.

    Args:
        max_wavelength: base of the wavelengths.
        scaling_factor: positions are divided by it, to fit longer sequences into the angles of
            shorter ones (Chen et al. 2023, position interpolation).

    As a `PositionScheme` it is an argument `positions` of attention. Other scalings of the angles
    (Llama 3, YaRN) are subclasses that override `inverse_frequencies`.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if an argument is not positive, or K is odd.

    Example:

    ```python
    import numpy as np
    import keras_seq

    layer = keras_seq.layers.RotaryEmbedding()
    query = np.ones((2, 5, 3, 8), "float32")  # (B, T, H, K)
    print(layer(query).shape)  # (2, 5, 3, 8)
    ```
    """

    can_reset_state = False

    def __init__(self, max_wavelength=10000, scaling_factor=1.0, **kwargs):
        super().__init__(**kwargs)
        given = {"max_wavelength": max_wavelength, "scaling_factor": scaling_factor}
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
                raise ValueError(
                    f"`{name}` of RotaryEmbedding must be a number above 0. "
                    f"Received: {name}={value!r}"
                )
        self.max_wavelength = max_wavelength
        self.scaling_factor = scaling_factor

    def build(self, input_shape):
        if len(input_shape) not in (3, 4):
            raise ValueError(
                "`x` of RotaryEmbedding must have shape (B, T, D) or (B, T, H, K). "
                f"Received: x of shape {tuple(input_shape)}"
            )
        width = input_shape[-1]
        if width is None or width % 2:
            raise ValueError(
                "The last axis of `x` of RotaryEmbedding (K, or `key_dim` of an attention layer) "
                f"must be even: its features are rotated in pairs. Received: {width}"
            )

    def get_initial_state(self, batch_size, max_length=None):
        """The position, an int32 scalar, at zero."""
        return {"position": ops.zeros((), dtype="int32")}

    def call(self, x, initial_state=None, return_state=False, reset=None):
        """Rotate.

        Args:
            x: (B, T, D) or (B, T, H, K) floats, the last axis even.
            initial_state: the position of the first time step, as `get_initial_state` gives it.
            return_state: return the state, too.
            reset: (B, T) boolean, True where a document begins and positions begin again. Not with
                a state.

        Returns:
            y of x's shape, then the state where asked for.
        """
        reset = checked_reset(self, reset, x, return_state or initial_state is not None)
        if reset is not None:
            return by_rows(self._rotate, document_offsets(reset), x)
        position = 0 if initial_state is None else initial_state["position"]
        positions = position + ops.arange(ops.shape(x)[1], dtype="int32")
        y = self._rotate(x, positions)
        if not return_state:
            return y
        return y, {"position": ops.cast(position + steps_in(x), "int32")}

    def _rotate(self, x, positions):
        return _rotate(x, *self._angles(x, positions))

    def transform(self, query, key, positions):
        angles = self._angles(query, positions)
        return _rotate(query, *angles), _rotate(key, *angles)

    def inverse_frequencies(self, width):
        """Angle per time step of each pair of features; override it to scale them in another way.

        Args:
            width: K.

        Returns:
            (K / 2,) NumPy array.
        """
        exponents = -2.0 * np.arange(width // 2) / width
        return self.max_wavelength**exponents / self.scaling_factor

    def _angles(self, x, positions):
        """Cosines and sines for x (B, T, ..., K) at `positions` (T,), in x's dtype."""
        speed = np.asarray(self.inverse_frequencies(x.shape[-1]))
        # The first half rotates backwards: of the two sines it has the one with the minus sign.
        speed = ops.convert_to_tensor(np.concatenate([-speed, speed]), "float32")
        t = ops.reshape(ops.cast(positions, "float32"), (-1, *[1] * (len(x.shape) - 2)))
        angle = t * speed  # (T, K) or (T, 1, K)
        return ops.cast(ops.cos(angle), x.dtype), ops.cast(ops.sin(angle), x.dtype)

    def compute_output_shape(self, x_shape):
        return tuple(x_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "max_wavelength": self.max_wavelength,
            "scaling_factor": self.scaling_factor,
        }


def _rotate(x, cosine, sine):
    """Rotate the pairs of features of x (B, T, ..., K)."""
    first, second = ops.split(x, 2, axis=-1)
    return x * cosine + ops.concatenate([second, first], axis=-1) * sine
