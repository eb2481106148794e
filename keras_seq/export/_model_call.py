"""A model's own call on whole sequences: what every exported artifact is compared with."""

import keras
import numpy as np

from keras_seq.stepping._keras_private import call_model, functional_of, input_names


class ModelCall:
    """`model(inputs, training=False)` by names: no stepping, no cache, no state from a call before.

    Args:
        model: functional or built Sequential `keras.Model`.
    """

    def __init__(self, model):
        self.model = model
        self.names = input_names(model)
        self.inputs = dict(zip(self.names, functional_of(model).inputs, strict=True))
        self.stateful = [layer for layer in layers_of(model) if getattr(layer, "stateful", False)]
        batches = {tensor.shape[0] for tensor in self.inputs.values()} - {None}
        self.batch_size = min(batches, default=None)
        self._compiled = None

    def __call__(self, inputs):
        """Flat list of the model's outputs; in `keras.ops`, to be traced.

        Args:
            inputs: dict from input name to tensor; the rows are whole batches of the model, where
                it fixes one.
        """
        rows = next(iter(inputs.values())).shape[0]
        size = rows if self.batch_size is None else self.batch_size
        if size == rows:
            return self._call(inputs)
        parts = [
            self._call({name: value[i : i + size] for name, value in inputs.items()})
            for i in range(0, rows, size)
        ]
        return [keras.ops.concatenate(part, axis=0) for part in zip(*parts, strict=True)]

    def _call(self, inputs):
        for layer in self.stateful:
            layer.reset_state()
        named = {
            name: keras.ops.convert_to_tensor(inputs[name], dtype=self.inputs[name].dtype)
            for name in self.names
        }
        return keras.tree.flatten(call_model(self.model, named, training=False))

    def run(self, inputs):
        """Flat list of the outputs as NumPy arrays; compiled, the model left as it was.

        Args:
            inputs: dict from input name to NumPy array.
        """
        if self._compiled is None:
            self._compiled = compiled_graph(self)
        inputs = {name: np.asarray(inputs[name]) for name in self.names}
        with unchanged_state(self.stateful):
            return [keras.ops.convert_to_numpy(y) for y in self._compiled(inputs)]


def compiled_graph(function):
    """`function` as a graph of TensorFlow without XLA; elsewhere as it is."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    traced = tf.function(function, autograph=False)
    # Python's and NumPy's numbers would be constants of a trace of their own.
    return lambda *arguments: traced(*keras.tree.map_structure(tf.convert_to_tensor, arguments))


class unchanged_state:
    """Give stateful layers back the states that they had."""

    def __init__(self, layers):
        self.variables = [v for layer in layers for v in layer.non_trainable_variables]

    def __enter__(self):
        self.values = [keras.ops.copy(v.value) for v in self.variables]

    def __exit__(self, *error):
        for variable, value in zip(self.variables, self.values, strict=True):
            variable.assign(value)


def layers_of(model):
    """All layers of a model, those of models inside it included."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from layers_of(layer)
