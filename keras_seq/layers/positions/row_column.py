"""Learned vectors for the rows and columns of a grid that is read as a sequence."""

import keras
from keras import ops

from keras_seq.layers._arguments import check_positive, check_rank
from keras_seq.layers._clone_initializer import clone_initializer
from keras_seq.layers.positions.learned import LearnedPositions


@keras.saving.register_keras_serializable(package="keras_seq")
class RowColumnPositions(LearnedPositions):
    r"""Adds learned vectors for row and column, of a grid that follows P steps of its own.

        y_t = x_t + p[t]                                  # t < P
        y_t = x_t + row[i // width] + column[i % width]   # i = t - P

    (Ramesh et al. 2021, appendix B.1: text, then the tokens of an image row by row.) The grid has
    height + width vectors instead of height x width, and neighbors in a column know of it.

    Args:
        height, width: of the grid.
        prefix_length: P, the number of steps before it.
        initializer: of the vectors; N(0, 0.02^2) if `None`.
        **kwargs: arguments of `keras.layers.Layer` (`name`, `dtype`).

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if a size is out of range, or a sequence is longer than P + height * width.

    Example:

    ```python
    import numpy as np
    import keras_seq

    layer = keras_seq.layers.RowColumnPositions(height=4, width=4, prefix_length=3)
    print(layer(np.ones((2, 3 + 16, 8), "float32")).shape)  # (2, 19, 8)
    ```
    """

    def __init__(self, height, width, prefix_length=0, initializer=None, **kwargs):
        check_positive("RowColumnPositions", height=height, width=width)
        if prefix_length != 0:
            check_positive("RowColumnPositions", prefix_length=prefix_length)
        super().__init__(prefix_length + height * width, initializer=initializer, **kwargs)
        self.height = height
        self.width = width
        self.prefix_length = prefix_length

    def build(self, input_shape):
        check_rank("RowColumnPositions", "x", input_shape, 3, "(B, T, D)")

        def vectors(name, size):
            initializer = clone_initializer(self.initializer)
            return self.add_weight((size, input_shape[-1]), initializer, name=name)

        self.prefix = vectors("prefix", self.prefix_length) if self.prefix_length else None
        self.rows = vectors("rows", self.height)
        self.columns = vectors("columns", self.width)

    @property
    def positions(self):
        """(P + height * width, D): the vectors of all time steps."""
        grid = ops.expand_dims(self.rows, 1) + ops.expand_dims(self.columns, 0)
        grid = ops.reshape(grid, (self.height * self.width, self.rows.shape[-1]))
        if self.prefix is None:
            return grid
        return ops.concatenate([ops.cast(self.prefix, grid.dtype), grid], axis=0)

    def get_config(self):
        config = super().get_config()
        for name in ("sequence_length", "position_offset"):
            del config[name]
        return {
            **config,
            "height": self.height,
            "width": self.width,
            "prefix_length": self.prefix_length,
        }
