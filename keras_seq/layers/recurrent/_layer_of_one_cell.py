"""`LayerOfOneCell`: a layer that makes its own cell, as Keras' `LSTM` does."""

from keras_seq.layers.recurrent.rnn import RNN


def _of_the_cell(name):
    return property(lambda self: getattr(self.cell, name))


class LayerOfOneCell(RNN):
    """A layer whose configuration has the cell's arguments and its own side by side."""

    units = _of_the_cell("units")
    activation = _of_the_cell("activation")
    use_bias = _of_the_cell("use_bias")
    kernel_initializer = _of_the_cell("kernel_initializer")
    recurrent_initializer = _of_the_cell("recurrent_initializer")
    bias_initializer = _of_the_cell("bias_initializer")
    kernel_regularizer = _of_the_cell("kernel_regularizer")
    recurrent_regularizer = _of_the_cell("recurrent_regularizer")
    bias_regularizer = _of_the_cell("bias_regularizer")
    kernel_constraint = _of_the_cell("kernel_constraint")
    recurrent_constraint = _of_the_cell("recurrent_constraint")
    bias_constraint = _of_the_cell("bias_constraint")
    dropout = _of_the_cell("dropout")
    recurrent_dropout = _of_the_cell("recurrent_dropout")
    zoneout = _of_the_cell("zoneout")

    def get_config(self):
        config = super().get_config()
        del config["cell"]
        cell = self.cell.get_config()
        return {**cell, **config}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
