"""The only place that touches what Keras keeps private: implicit masks and the functional graph.

Public Keras has no way to read a tensor's mask or to walk a functional model node by node.
Everything of that kind is here, small enough to be checked against each supported Keras version
(`tests/test_keras_private.py`).
"""

import keras
from keras.src.backend import get_keras_mask, set_keras_mask

__all__ = [
    "fill_arguments",
    "functional_of",
    "get_mask",
    "graph_nodes",
    "graph_outputs",
    "is_functional",
    "set_mask",
    "standalone_output_spec",
]


def get_mask(x):
    """The mask (B, T) that a Keras layer attached to `x`, or `None`."""
    return None if x is None else get_keras_mask(x)


def set_mask(x, mask):
    """Attach `mask` (B, T) to `x`, as a Keras layer does, and return `x`."""
    if mask is not None:
        set_keras_mask(x, mask)
    return x


def standalone_output_spec(layer, *args, **kwargs):
    """Output specs of `layer` found by tracing its `call`, whatever `compute_output_shape` says."""
    return keras.Operation.compute_output_spec(layer, *args, **kwargs)


def is_functional(operation):
    """Whether `operation` is a model with a graph to walk (functional or a built Sequential)."""
    return isinstance(operation, keras.Model) and functional_of(operation) is not None


def functional_of(model):
    """The functional model behind `model`, or `None` where there is no graph (a subclassed one)."""
    if isinstance(model, keras.Sequential):
        return getattr(model, "_functional", None)
    return model if hasattr(model, "_nodes_by_depth") else None


def graph_nodes(model):
    """The nodes of a functional model in an order in which they can be run, inputs left out."""
    by_depth = functional_of(model)._nodes_by_depth
    return [
        node
        for depth in sorted(by_depth, reverse=True)
        for node in by_depth[depth]
        if node.operation and not node.is_input
    ]


def graph_outputs(model):
    """`(symbolic outputs, pack)`; `pack` puts a flat list back into the model's own structure."""
    functional = functional_of(model)
    structure = functional._outputs_struct
    return functional.outputs, lambda flat: keras.tree.pack_sequence_as(structure, flat)


def fill_arguments(node, values):
    """`(args, kwargs)` of a node, each symbolic tensor replaced by `values[id(tensor)]`."""
    return node.arguments.fill_in(values)
