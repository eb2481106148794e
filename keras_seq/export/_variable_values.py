"""Whether the variables of a model have other values than they had."""

import numpy as np
import tensorflow as tf


class VariableValues:
    """The values of a model's variables at one time, on TensorFlow.

    They are kept as tensors and not as copies. A tensor that was read never changes: TensorFlow
    gives a variable new memory before it overwrites what a tensor still refers to. So a variable
    that is read at the same address again has the same value, and only those that moved are
    compared.

    Args:
        model: `keras.Model`.
    """

    def __init__(self, model):
        variables = list(model.variables)
        self._read = tf.function(
            lambda: [tf.convert_to_tensor(v.value) for v in variables], autograph=False
        )
        self._values = [_memory(tensor) for tensor in self._read()]

    def changed(self):
        """Whether any value is another one, in any bit."""
        for i, tensor in enumerate(self._read()):
            old, new = self._values[i], _memory(tensor)
            if _address(old) == _address(new):
                continue
            if not np.array_equal(_bits(old), _bits(new)):
                return True
            self._values[i] = new
        return False


def _memory(tensor):
    """An array of the tensor's own memory, which it keeps alive; else a copy."""
    try:
        return np.asarray(memoryview(tensor))
    except ValueError:  # bfloat16, which buffers do not know
        return tensor.numpy()


def _address(array):
    return array.__array_interface__["data"][0]


def _bits(array):
    return np.ravel(array).view("uint8")
