"""Run a functional model's graph call by call, to look at or to change what its layers do."""

import inspect

import keras
import numpy as np
from keras import ops

from keras_seq.layers._keras_private import get_mask, set_mask
from keras_seq.stepping._keras_private import (
    fill_arguments,
    functional_of,
    graph_nodes,
    graph_outputs,
    is_functional,
)


def walk(model, inputs, call, prefix=""):
    """Run a functional model as its own call does, models inside it and masks included.

    Args:
        model: functional or built Sequential `keras.Model`.
        inputs: flat list of tensors, see `match_inputs`.
        call: `(name, operation, args, kwargs) -> outputs`, asked for every layer and op. A layer
            called twice has the second name `"<name>_call_2"`, a layer of a model inside the model
            is `"<model>/<layer>"`.
        prefix: of the names.

    Returns:
        Flat list of the model's outputs.
    """
    values = {id(t): x for t, x in zip(functional_of(model).inputs, inputs, strict=True)}
    calls = {}
    for node in graph_nodes(model):
        operation = node.operation
        args, kwargs = fill_arguments(node, values)
        calls[operation.name] = calls.get(operation.name, 0) + 1
        again = f"_call_{calls[operation.name]}" if calls[operation.name] > 1 else ""
        name = f"{prefix}{operation.name}{again}"
        if is_functional(operation):
            outputs = walk(operation, _inner_inputs(operation, args, kwargs), call, f"{name}/")
        else:
            outputs = call(name, operation, args, kwargs)
        for tensor, value in zip(node.outputs, keras.tree.flatten(outputs), strict=True):
            values[id(tensor)] = value
    return [values[id(t)] for t in graph_outputs(model)[0]]


def _inner_inputs(model, args, kwargs):
    """The tensors that a node hands to the model inside the model, with the masks it passes."""
    bound = inspect.signature(model.call).bind(*args, **kwargs).arguments
    tensors = match_inputs(functional_of(model), bound["inputs"])
    masks = keras.tree.flatten(bound["mask"]) if bound.get("mask") is not None else []
    for x, mask in zip(tensors, masks, strict=False):
        set_mask(x, mask)
    return tensors


def match_inputs(functional, inputs, argument="inputs"):
    """What a model's call takes, as a list of tensors in the order of its inputs, masks kept.

    Args:
        functional: the functional model.
        inputs: a dict by input name, a list, or a tensor; arrays and nested lists of numbers are
            converted.
        argument: what the errors call it.

    Raises:
        ValueError: if an input is missing, or has another rank or size than the model's.
    """
    structure, symbolic = functional.input, functional.inputs
    if isinstance(inputs, dict):
        # As in the model's call: a dict goes by the model's own keys, or by the tensors' names.
        own = isinstance(structure, dict)
        names = list(structure) if own else [t.name for t in symbolic]
        missing = [name for name in names if name not in inputs]
        if missing:
            raise ValueError(
                f"`{argument}` must hold the inputs of model `{functional.name}`: {names}. "
                f"Received: {sorted(inputs)}, which lacks {missing}"
            )
        chosen = {name: inputs[name] for name in names}
        values = _flatten_like(structure, chosen) if own else list(chosen.values())
    elif len(symbolic) == 1:
        # [x] is a list of one input, [[1, 2, 3]] one batch of token ids: the rank tells.
        listed = isinstance(inputs, (list, tuple)) and len(inputs) > 0
        listed = listed and np.ndim(inputs[0]) == len(symbolic[0].shape)
        values = list(inputs) if listed else [inputs]
    else:
        values = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if len(values) != len(symbolic):
        raise ValueError(
            f"`{argument}` must hold the {len(symbolic)} inputs of model `{functional.name}`: "
            f"{[t.name for t in symbolic]}. Received: {len(values)} of them"
        )
    return [_convert(t, value) for t, value in zip(symbolic, values, strict=True)]


def _flatten_like(structure, values):
    """Flatten `values` only as deep as `structure`: a nested list of numbers is one array."""
    return keras.tree.flatten(
        keras.tree.map_structure_up_to(structure, lambda _, value: _Leaf(value), structure, values)
    )


class _Leaf:
    """Keeps `keras.tree` from looking into a value."""

    def __init__(self, value):
        self.value = value


def _convert(symbolic, value):
    value = value.value if isinstance(value, _Leaf) else value
    x = ops.convert_to_tensor(value, dtype=symbolic.dtype)
    pairs = zip(symbolic.shape, x.shape, strict=False)
    if len(x.shape) != len(symbolic.shape) or any(n not in (None, m) for n, m in pairs):
        raise ValueError(
            f"The input `{symbolic.name}` must have shape {tuple(symbolic.shape)}, batch first. "
            f"Received: shape {tuple(x.shape)}. Add the batch axis to a single example: x[None]"
        )
    return set_mask(x, get_mask(value) if ops.is_tensor(value) else None)
