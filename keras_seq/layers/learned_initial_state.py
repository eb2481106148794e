"""A start state that is learned."""

import keras
from keras import initializers, ops

from keras_seq.layers._arguments import check_positive


@keras.saving.register_keras_serializable(package="keras_seq")
class LearnedInitialState(keras.layers.Layer):
    r"""Weights as the state before the first step: the same, learned one for all sequences.

        h_0 = w,    for every row of the batch

    A recurrent layer begins with zeros unless it is given another state. This layer gives one that
    is trained with the model. Of its input it reads the number of rows alone, so a model that uses
    it is still causal, and `keras_seq.stepping.Stepper` steps it.

    Args:
        units: U, width of the state; a list of widths for a layer with several states, such as
            `[U, U]` for an LSTM.
        initializer: of the weights.

    Call arguments:
        x: tensor of any shape (B, ...).

    Returns:
        (B, U), or a list of such tensors where `units` is a list.

    Raises:
        ValueError: if a width is not a positive int.

    Example:

    ```python
    import keras
    import numpy as np
    import keras_seq

    x = keras.Input((None, 3))
    start = keras_seq.layers.LearnedInitialState([8, 8])(x)
    y = keras_seq.layers.LSTM(8, return_sequences=True)(x, initial_state=start)
    model = keras.Model(x, y)
    print(model(np.ones((2, 5, 3))).shape)  # (2, 5, 8)
    ```
    """

    depends_on_batch_alone = True  # see `stepping/_target_graph.py`

    def __init__(self, units, initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        for width in units if isinstance(units, (list, tuple)) else [units]:
            check_positive("LearnedInitialState", units=width)
        self.units = tuple(units) if isinstance(units, list) else units
        self.initializer = initializers.get(initializer)

    def build(self, input_shape):
        widths = self.units if isinstance(self.units, (list, tuple)) else [self.units]
        self.states = [
            self.add_weight(name=f"state_{i}", shape=(width,), initializer=self.initializer)
            for i, width in enumerate(widths)
        ]

    def call(self, x):
        return self.for_batch(ops.shape(x)[0])

    def for_batch(self, batch_size):
        """The states for a batch of `batch_size` rows, an int or a scalar tensor."""
        states = [
            ops.broadcast_to(ops.cast(state, self.compute_dtype), (batch_size, state.shape[0]))
            for state in self.states
        ]
        return states if isinstance(self.units, (list, tuple)) else states[0]

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        if isinstance(self.units, (list, tuple)):
            return [(input_shape[0], width) for width in self.units]
        return (input_shape[0], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "units": list(self.units) if isinstance(self.units, tuple) else self.units,
            "initializer": initializers.serialize(self.initializer),
        }
