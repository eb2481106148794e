"""The last p inputs as features: the state of autoregressive and Markov models."""

import keras
from keras import ops

from keras_seq.layers._arguments import check_positive, check_rank
from keras_seq.layers._documents import checked_reset, document_numbers, document_offsets
from keras_seq.layers.sequence_layer import SequenceLayer, implicit_mask


@keras.saving.register_keras_serializable(package="keras_seq")
class CausalWindow(SequenceLayer):
    r"""The last p inputs concatenated, the oldest first.

        y_t = concat(x_{t-p+1}, ..., x_{t-1}, x_t)        # x is zero before the start

    With a dense layer after it, this is the autoregressive model AR(p) (Yule 1927),
    `x_{t+1} = y_t W + b`; with p = 1 it is a Markov model, and with a deeper network the neural
    probabilistic language model of Bengio et al. (2003, section 2). The state is the window itself,
    so a step costs no more than its p inputs, however long the sequence.

    As in the recurrent layers, a masked step leaves the window as it is and repeats the output, so
    masks may have holes anywhere: the window holds the last p inputs that are not masked.

    Args:
        size: p, the number of inputs, the present one included.
        **kwargs: arguments of `keras.layers.Layer` (`name`, `dtype`).

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if `size` is below 1, or `x` is not (B, T, D).

    Example:

    ```python
    import keras
    import numpy as np
    import keras_seq

    x = keras.Input((None, 1))
    model = keras.Model(x, keras.layers.Dense(1)(keras_seq.layers.CausalWindow(3)(x)))  # AR(3)

    window = keras_seq.layers.CausalWindow(2)
    y = window(np.array([[[1.0], [2.0], [3.0]]]))
    print(np.asarray(y)[0])  # [[0, 1], [1, 2], [2, 3]]
    ```
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        check_positive("CausalWindow", size=size)
        self.size = size

    def build(self, input_shape):
        check_rank("CausalWindow", "x", input_shape, 3, "(B, T, D)")
        self.features = input_shape[-1]

    def get_initial_state(self, batch_size, max_length=None):
        """Zeros: nothing comes before the start.

        Args:
            batch_size: B, an int or a scalar tensor.
            max_length: ignored, the state does not grow.

        Returns:
            Dict of `window` (B, p, D), the last p inputs.
        """
        self._check_built()
        shape = (batch_size, self.size, self.features)
        return {"window": ops.zeros(shape, dtype=self.compute_dtype)}

    def call(self, x, mask=None, initial_state=None, return_state=False, reset=None):
        """Concatenate the last inputs of each step.

        Args:
            x: (B, T, D) floats.
            mask: (B, T) boolean, False where the window stays as it is and the output repeats.
            initial_state: the window before the first step; zeros if `None`.
            return_state: return the state, too.
            reset: (B, T) boolean, True where a document begins: the window before it is zero.

        Returns:
            (B, T, p D) floats, then the state where asked for.
        """
        check_rank("CausalWindow", "x", x.shape, 3, "(B, T, D)")
        mask = implicit_mask(x, mask)
        reset = checked_reset(self, reset, x)
        if initial_state is None:
            initial_state = self.get_initial_state(ops.shape(x)[0])
        window = ops.cast(initial_state["window"], x.dtype)
        # Position p + t holds x_t, what is before it was there before the start.
        past = ops.concatenate([window, x], axis=1)  # (B, p + T, D)
        if mask is None and reset is None:
            parts = [past[:, i + 1 : i + 1 - self.size or None] for i in range(self.size)]
            window = past[:, -self.size :]
        else:
            parts = self._parts(past, mask, reset)  # one step more, the one before the chunk
            window = ops.stack([part[:, -1] for part in parts], axis=1)
            parts = [part[:, 1:] for part in parts]
        y = ops.concatenate(parts, axis=-1)
        return (y, {"window": window}) if return_state else y

    def _parts(self, past, mask, reset):
        """For each place in the window (B, 1 + T, D): the last p inputs that are not masked."""
        if mask is None:
            count = ops.shape(past)[1] - self.size + 1  # 1 + T
            positions = [ops.arange(i, i + count, dtype="int32") for i in range(self.size)]
            parts = [past[:, i : i + 1 - self.size or None] for i in range(self.size)]
        else:
            positions = self._positions_by_mask(past, mask)
            parts = [ops.take_along_axis(past, ops.expand_dims(p, -1), axis=1) for p in positions]
        if reset is None:
            return parts
        begin = self._begins(reset)
        return [
            ops.where(ops.expand_dims(position >= begin, -1), part, ops.zeros_like(part))
            for position, part in zip(positions, parts, strict=True)
        ]

    def _begins(self, reset):
        """(B, 1 + T): where in `past` the document of each step begins; 0 where before it."""
        t = ops.arange(ops.shape(reset)[1], dtype="int32")
        begin = self.size + t - document_offsets(reset)
        begin = ops.where(document_numbers(reset) > 0, begin, 0)
        return ops.pad(begin, [[0, 0], [1, 0]])

    def _positions_by_mask(self, past, mask):
        """For each place in the window (B, 1 + T): where in `past` its input is."""
        before = ops.ones_like(past[:, : self.size, 0], dtype="bool")  # (B, p)
        mask = ops.concatenate([before, mask], axis=1)  # (B, p + T)
        valid = ops.cumsum(ops.cast(mask, "int32"), axis=1)[:, self.size - 1 :]  # p at least
        # Positions that are not masked, in their order, then the masked ones.
        t = ops.arange(ops.shape(past)[1], dtype="int32")
        order = ops.argsort(ops.where(mask, t, t + ops.shape(past)[1]), axis=1)
        return [ops.take_along_axis(order, valid - self.size + i, axis=1) for i in range(self.size)]

    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], self.size * x_shape[-1])

    def get_config(self):
        return {**super().get_config(), "size": self.size}
