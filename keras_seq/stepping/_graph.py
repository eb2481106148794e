"""The one walker: the calls of a functional model in their order, models inside it opened.

A model inside a model is no call of its own here: its layers are listed where they run, under the
names `"<model>/<layer>"`, and its inputs and outputs are passed on by `Enter` and `Leave`. A value
is known by its key `(scope, id(symbolic tensor))`, because a model that is called twice has the
same symbolic tensors in both calls.
"""

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
    input_structure,
    is_functional,
)


class Call:
    """One call of a layer or op.

    Attributes:
        name: unique in the model: `"<layer>"`, for a layer called again `"<layer>_call_2"`, in a
            model inside `"<model>/<layer>"`.
        operation: the layer or op.
        node: the Keras node, whose arguments and outputs are symbolic.
        scope: the name of the call of the model that it stands in; `""` for the outermost.
        reads, gives: keys of the symbolic tensors among the arguments, and of the outputs.
        scope_is_training: whether a model that it stands in is called with `training=True`.
    """

    def __init__(self, name, node, scope, scope_is_training):
        self.name = name
        self.operation = self.operation_or_none = node.operation
        self.scope_is_training = scope_is_training
        self.node = node
        self.scope = scope
        self.reads = [(scope, id(t)) for t in node.input_tensors]
        self.gives = [(scope, id(t)) for t in node.outputs]

    def arguments(self, values):
        """`(args, kwargs)` with values in place of symbolic tensors.

        Stepped, a layer has what does not depend on the target in its state, and here `None`.
        """
        tensors = self.node.input_tensors
        found = {id(t): values.get(key) for t, key in zip(tensors, self.reads, strict=True)}
        return fill_arguments(self.node, found)

    def record(self, outputs, values):
        """Put the outputs into `values`; a step does not give the final states, which come last."""
        for key, value in zip(self.gives, keras.tree.flatten(outputs), strict=False):
            values[key] = value

    def run(self, values):
        args, kwargs = self.arguments(values)
        self.record(self.operation(*args, **kwargs), values)


class Enter:
    """An input of a model inside the model: the value that it gets, as Keras prepares it.

    Attributes:
        model: the inner model.
        symbolic: its symbolic input.
        value: symbolic tensor of the outer model, or a constant.
        mask: what the call passes as this input's mask: symbolic, a constant, or `None`.
        reads, gives: keys.
    """

    operation_or_none = None

    def __init__(self, model, symbolic, value, mask, outer, scope):
        self.model, self.symbolic = model, symbolic
        self.value, self.mask = value, mask
        self._outer = outer
        self.key = (scope, id(symbolic))
        self.gives = [self.key]
        self.reads = [self._key(t) for t in (value, mask) if _is_symbolic(t)]

    def _key(self, tensor):
        return (self._outer, id(tensor))

    @property
    def value_key(self):
        return self._key(self.value) if _is_symbolic(self.value) else None

    @property
    def mask_key(self):
        return self._key(self.mask) if _is_symbolic(self.mask) else None

    def run(self, values):
        x = values[self.value_key] if self.value_key else ops.convert_to_tensor(self.value)
        own, wanted = get_mask(x), self.symbolic
        if keras.backend.standardize_dtype(x.dtype) != wanted.dtype:
            x = ops.cast(x, wanted.dtype)
        if len(x.shape) == len(wanted.shape) + 1:
            x = ops.squeeze(x, -1)
        elif len(x.shape) == len(wanted.shape) - 1:
            x = ops.expand_dims(x, -1)
        mask = values[self.mask_key] if self.mask_key else self.mask
        values[self.key] = set_mask(x, own if mask is None else ops.convert_to_tensor(mask))


class Leave:
    """An output of a model inside the model, handed to the outer one."""

    operation_or_none = None

    def __init__(self, inner, outer):
        self.reads, self.gives = [inner], [outer]

    def run(self, values):
        values[self.gives[0]] = values[self.reads[0]]


class Graph:
    """The calls of a functional model, in an order in which they can be run.

    Attributes:
        model: the model.
        steps: list of `Call`, `Enter` and `Leave`.
        inputs: keys of the model's inputs, flat; `outputs`: of its outputs.
        pack: puts a flat list of outputs into the model's own structure.
    """

    def __init__(self, model):
        self.model = model
        self.steps = []
        self._open(model, "", (), False)
        self.inputs = [("", id(t)) for t in functional_of(model).inputs]
        outputs, self.pack = graph_outputs(model)
        self.outputs = [("", id(t)) for t in outputs]

    @property
    def calls(self):
        return [step for step in self.steps if isinstance(step, Call)]

    def _open(self, model, scope, models, training):
        if model in models:
            raise ValueError(f"Model `{model.name}` holds itself, so its graph has no end.")
        nodes = graph_nodes(model)
        names = _UniqueNames(node.operation.name for node in nodes)
        for node in nodes:
            name = f"{scope}/{names(node.operation.name)}".removeprefix("/")
            if not is_functional(node.operation):
                self.steps.append(Call(name, node, scope, training))
                continue
            inner = node.operation
            tensors, masks = _inner_inputs(inner, node.arguments.args, node.arguments.kwargs)
            for symbolic, value, mask in zip(
                functional_of(inner).inputs, tensors, masks, strict=True
            ):
                self.steps.append(Enter(inner, symbolic, value, mask, scope, name))
            trains = training or node.arguments.kwargs.get("training") is True
            self._open(inner, name, (*models, model), trains)
            for own, outer in zip(graph_outputs(inner)[0], node.outputs, strict=True):
                self.steps.append(Leave((name, id(own)), (scope, id(outer))))


class _UniqueNames:
    """A name for each call: that of the operation, with a number from its second call on.

    A number that would give the name of another operation is passed over.
    """

    def __init__(self, operations):
        self.reserved = set(operations)
        self.used = set()

    def __call__(self, name):
        unique, count = name, 1
        while unique in self.used or (count > 1 and unique in self.reserved):
            count += 1
            unique = f"{name}_call_{count}"
        self.used.add(unique)
        return unique


def walk(model, inputs, call):
    """Run a functional model as its own call does, models inside it and masks included.

    Args:
        model: functional or built Sequential `keras.Model`.
        inputs: flat list of tensors, see `match_inputs`.
        call: `(name, operation, args, kwargs) -> outputs`, asked for every layer and op; names as
            of `Call`.

    Returns:
        Flat list of the model's outputs.
    """
    graph = Graph(model)
    values = dict(zip(graph.inputs, inputs, strict=True))
    for step in graph.steps:
        if isinstance(step, Call):
            args, kwargs = step.arguments(values)
            step.record(call(step.name, step.operation, args, kwargs), values)
        else:
            step.run(values)
    return [values[key] for key in graph.outputs]


def _is_symbolic(value):
    return isinstance(value, keras.KerasTensor)


def _inner_inputs(model, args, kwargs):
    """What a call of a model passes for each of its inputs, and as their masks, in their order."""
    bound = inspect.signature(model.call).bind(*args, **kwargs).arguments
    given, structure = bound["inputs"], input_structure(model)
    symbolic = functional_of(model).inputs
    if isinstance(given, dict):
        by_name = isinstance(structure, dict)
        names = list(structure) if by_name else [t.name for t in symbolic]
        surplus = sorted(set(given) - set(names)) if by_name else []
        if not set(names) <= set(given) or surplus:
            raise ValueError(
                f"Model `{model.name}` inside the model must be called with its inputs {names}. "
                f"Received: {sorted(given)}"
            )
        given = {name: given[name] for name in names} if by_name else [given[n] for n in names]
    tensors = keras.tree.flatten(given)
    if len(tensors) != len(symbolic):
        raise ValueError(
            f"Model `{model.name}` inside the model must be called with its {len(symbolic)} inputs "
            f"{[t.name for t in symbolic]}. Received: {len(tensors)} tensors"
        )
    masks = bound.get("mask")
    masks = [] if masks is None else _flat_masks(masks)
    return tensors, [*masks, *[None] * (len(tensors) - len(masks))][: len(tensors)]


def _flat_masks(masks):
    """Masks as a flat list that keeps `None`."""
    if isinstance(masks, dict):
        return [masks[name] for name in sorted(masks)]
    return list(masks) if isinstance(masks, (list, tuple)) else [masks]


def match_inputs(model, inputs, argument="inputs"):
    """What a model's call takes, as a list of tensors in the order of its inputs, masks kept.

    Args:
        model: functional or built Sequential `keras.Model`.
        inputs: a dict by input name, a list, or a tensor; arrays and nested lists of numbers are
            converted.
        argument: what the errors call it.

    Raises:
        ValueError: if an input is missing, or has another rank or size than the model's.
    """
    structure, symbolic = input_structure(model), functional_of(model).inputs
    if isinstance(inputs, dict):
        # As in the model's call: a dict goes by the model's own keys, or by the tensors' names.
        own = isinstance(structure, dict)
        names = list(structure) if own else [t.name for t in symbolic]
        missing = [name for name in names if name not in inputs]
        if missing:
            raise ValueError(
                f"`{argument}` must hold the inputs of model `{model.name}`: {names}. "
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
            f"`{argument}` must hold the {len(symbolic)} inputs of model `{model.name}`: "
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
