"""Whether a model gives logits: a softmax at its end is found in the graph and refused."""

import keras

from keras_seq.stepping._graph import Graph

_PASS_ON = ("Dropout", "Identity", "Cast")


def check_logits(model):
    """Raise if the model's output comes from a softmax.

    Softmax of a softmax is nearly flat, so such a model would train, and what it generates would be
    nearly random.

    Raises:
        ValueError: naming the layer, with what to do.
    """
    operation = final_softmax(model)
    if operation is not None:
        raise ValueError(
            f"The model's output must be logits, and `{operation.name}` "
            f"({type(operation).__name__}) gives probabilities: it ends in a softmax. Build "
            "the model without it and train with a loss of `from_logits=True`; the trained "
            "weights fit as they are, for a softmax has none."
        )


def final_softmax(model):
    """The operation that gives an output of a functional model as probabilities, or `None`."""
    graph = Graph(model)
    operations = (_maker(graph, output) for output in graph.outputs)
    return next((o for o in operations if o is not None and _is_softmax(o)), None)


def _maker(graph, key):
    """The operation whose result a value is; dropout and casts are left out."""
    for step in reversed(graph.steps):
        if key not in step.gives:
            continue
        operation = step.operation_or_none
        if operation is not None and not _passes_on(operation):
            return operation
        key = step.reads[0] if step.reads else None
    return None


def _passes_on(operation):
    return type(operation).__name__ in _PASS_ON or _is_linear(operation)


def _is_linear(operation):
    is_activation = isinstance(operation, keras.layers.Activation)
    return is_activation and operation.activation is keras.activations.linear


def _is_softmax(operation):
    if isinstance(operation, keras.layers.Wrapper):  # TimeDistributed
        return _is_softmax(operation.layer)
    activation = getattr(operation, "activation", None)
    softmax = (keras.activations.softmax, keras.ops.softmax)
    return type(operation).__name__ == "Softmax" or activation in softmax
