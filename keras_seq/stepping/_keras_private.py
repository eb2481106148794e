"""The only place that touches the private graph of a functional model.

Public Keras has no way to walk a functional model node by node. Everything of that kind is here,
small enough to be checked against each supported Keras version
(`tests/stepping/test_keras_private.py`); what layers need of private Keras, the implicit masks, is
in `layers/_keras_private.py`.
"""

import keras
from keras.src.backend.common.stateless_scope import in_stateless_scope
from keras.src.models.functional import Functional

__all__ = [
    "call_model",
    "fill_arguments",
    "functional_of",
    "graph_nodes",
    "graph_outputs",
    "in_stateless_scope",
    "input_names",
    "input_structure",
    "is_functional",
]


def is_functional(operation):
    """Whether `operation` is a model with a graph to walk (functional or a built Sequential)."""
    return isinstance(operation, keras.Model) and functional_of(operation) is not None


def functional_of(model):
    """The functional model behind `model`, or `None` where there is no graph (a subclassed one)."""
    if isinstance(model, keras.Sequential):
        own_call = type(model).call is not keras.Sequential.call
        return None if own_call else getattr(model, "_functional", None)
    # A subclass with a `call` of its own may compute something else than its graph.
    is_graph = isinstance(model, Functional) and type(model).call is Functional.call
    return model if is_graph else None


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


def input_structure(model):
    """The model's symbolic inputs in the structure that they were given in."""
    return functional_of(model)._inputs_struct


def input_names(model):
    """Names of the inputs: the keys where the model takes a dict, else the tensors' own."""
    structure, inputs = input_structure(model), functional_of(model).inputs
    if isinstance(structure, dict) and all(hasattr(t, "shape") for t in structure.values()):
        names = {id(t): name for name, t in structure.items()}
        return [names[id(t)] for t in inputs]
    return [t.name for t in inputs]


def call_model(model, inputs, **kwargs):
    """The model's own call on a dict from input name to tensor."""
    flat = [inputs[name] for name in input_names(model)]
    return model(keras.tree.pack_sequence_as(input_structure(model), flat), **kwargs)
