"""Whether a model gives logits: a softmax at its end is found in the graph and refused."""

import keras

from keras_seq.stepping._keras_private import functional_of, graph_nodes, is_functional

_PASS_ON = ("Dropout", "Identity", "Cast")


def check_logits(model):
    """Raise if the model's output comes from a softmax.

    Softmax of a softmax is nearly flat, so such a model would train, and what it generates would be
    nearly random.

    Raises:
        ValueError: naming the layer, with what to do.
    """
    functional = functional_of(model)
    for output in functional.outputs:
        operation = _maker(functional, output)
        if operation is not None and _is_softmax(operation):
            raise ValueError(
                f"The model's output must be logits, and `{operation.name}` "
                f"({type(operation).__name__}) gives probabilities: it ends in a softmax. Build "
                "the model without it and train with a loss of `from_logits=True`; the trained "
                "weights fit as they are, for a softmax has none."
            )


def _maker(functional, output):
    """The operation whose result `output` is, nested models, dropout and casts left out."""
    for node in graph_nodes(functional):
        place = next((i for i, t in enumerate(node.outputs) if t is output), None)
        if place is None:
            continue
        operation = node.operation
        if is_functional(operation):
            inner = functional_of(operation)
            return _maker(inner, inner.outputs[place])
        if type(operation).__name__ in _PASS_ON or _is_linear(operation):
            return _maker(functional, node.input_tensors[0])
        return operation
    return None


def _is_linear(operation):
    is_activation = isinstance(operation, keras.layers.Activation)
    return is_activation and operation.activation is keras.activations.linear


def _is_softmax(operation):
    if isinstance(operation, keras.layers.Wrapper):  # TimeDistributed
        return _is_softmax(operation.layer)
    activation = getattr(operation, "activation", None)
    softmax = (keras.activations.softmax, keras.ops.softmax)
    return type(operation).__name__ == "Softmax" or activation in softmax
