"""What a functional model's graph says about stepping: which nodes hang on the target sequence."""

import inspect

import keras

from keras_seq._keras import (
    fill_arguments,
    functional_of,
    graph_nodes,
    graph_outputs,
    is_functional,
)
from keras_seq.generation.pointwise import why_not_pointwise


class TargetNode:
    """One call in the graph whose output depends on the target sequence.

    Attributes:
        node: the Keras node.
        operation: the layer or op that it calls.
        name: unique in the model; a layer called twice has a node, a name and a state for each
            call.
        kind: "sequence" (has a step of its own), "model" (a functional model inside) or
            "pointwise".
        context_arguments: names of the tensor arguments that do not depend on the target.
    """

    def __init__(self, node, name, depends):
        self.node = node
        self.name = name
        self.operation = node.operation
        self.kind = _kind(node)
        self.context_arguments = []
        if self.kind == "sequence":
            self._bind(depends)
        elif self.kind == "pointwise":
            self._check_pointwise(depends)

    def _bind(self, depends):
        """Find the target among the arguments: it must be the first one, and the only one."""
        args, kwargs = self.node.arguments.args, self.node.arguments.kwargs
        self.bound = self.bind(args, kwargs)
        self.target_argument = next(iter(inspect.signature(self.operation.call).parameters))
        for argument, value in self.bound.items():
            tensors = [t for t in keras.tree.flatten(value) if isinstance(t, keras.KerasTensor)]
            if argument == "mask" and value is not None:
                self._check_mask(tensors, depends)
            if not tensors or argument in ("mask", "training"):
                continue
            on_target = any(id(t) in depends for t in tensors)
            if (argument == self.target_argument) != on_target:
                raise ValueError(
                    f"{_describe(self.operation)} cannot be stepped: its argument `{argument}` "
                    + (
                        "depends on the whole target sequence. Only the first argument may; the "
                        "others must come from the context (the encoder)."
                        if on_target
                        else "does not depend on the target, though a later argument does. Pass "
                        "the target sequence first."
                    )
                )
            if not on_target:
                self.context_arguments.append(argument)

    def bind(self, args, kwargs):
        """Arguments of the operation's `call` by name."""
        return inspect.signature(self.operation.call).bind(*args, **kwargs).arguments

    def _check_mask(self, tensors, depends):
        if not tensors or not all(id(t) in depends for t in tensors):
            raise ValueError(
                f"{_describe(self.operation)} cannot be stepped: its `mask` does not depend on the "
                "target sequence, so a single step has no part of it. Make the mask from the "
                "target, such as `mask=keras.ops.not_equal(target, 0)`."
            )

    def _check_pointwise(self, depends):
        args, kwargs = self.node.arguments.args, self.node.arguments.kwargs
        reason = why_not_pointwise(self.operation, args, kwargs, depends)
        if reason is None:
            return
        raise ValueError(
            f"{_describe(self.operation)} cannot be stepped: {reason}. Use a layer of "
            "keras_seq.layers in its place, give your layer `initial_state` and `step` (derive it "
            "from keras_seq.layers.SequenceLayer), or, if it does act on each time step alone, "
            "declare so with keras_seq.generation.register_pointwise."
        )


class TargetGraph:
    """A functional model split at the target input: the context, computed once, and the rest.

    Args:
        model: functional or Sequential `keras.Model`.
        target: the name of the target input, or `None` to find it.

    Raises:
        TypeError: if `model` has no graph.
        ValueError: if the target input is unknown or unclear, or a node cannot be stepped.
    """

    def __init__(self, model, target=None):
        if not is_functional(model):
            raise TypeError(
                "`model` must be a functional (or built Sequential) keras.Model, because stepping "
                f"walks its graph. Received: {type(model).__name__} `{getattr(model, 'name', '')}`"
            )
        self.model = model
        self.functional = functional_of(model)
        self.input_names = input_names(self.functional)
        self.inputs = dict(zip(self.input_names, self.functional.inputs, strict=True))
        self.target = _find_target(self.input_names, target)
        self.context_inputs = [name for name in self.input_names if name != self.target]
        depends = {id(self.inputs[self.target])}
        self.context_nodes, self.target_nodes, used = [], [], {}
        for node in graph_nodes(model):
            if not any(id(t) in depends for t in node.input_tensors):
                self.context_nodes.append(node)
                continue
            name = node.operation.name
            used[name] = used.get(name, 0) + 1
            name = name if used[name] == 1 else f"{name}_call_{used[name]}"
            self.target_nodes.append(TargetNode(node, name, depends))
            depends.update(id(t) for t in node.outputs)
        self.depends = depends
        self.outputs, self.pack_outputs = graph_outputs(model)
        self._check_outputs()

    def run_context(self, inputs):
        """Values of all tensors that do not depend on the target.

        Args:
            inputs: dict from context input name to tensor.

        Returns:
            Dict from id of the symbolic tensor to its value.
        """
        values = {id(self.inputs[name]): inputs[name] for name in self.context_inputs}
        for node in self.context_nodes:
            args, kwargs = fill_arguments(node, values)
            record(node, node.operation(*args, **kwargs), values)
        return values

    def needed_context(self):
        """Context tensors that a target node reads at every step, by a unique name."""
        needed = {}
        for target in self.target_nodes:
            if target.kind != "pointwise":
                continue  # these read their context once, in `initial_state`
            for tensor in target.node.input_tensors:
                if id(tensor) not in self.depends:
                    needed[id(tensor)] = tensor
        return {f"context_{i}": tensor for i, tensor in enumerate(needed.values())}

    def _check_outputs(self):
        for tensor in self.outputs:
            if id(tensor) not in self.depends:
                raise ValueError(
                    f"The output {tensor.name!r} of model `{self.model.name}` does not depend on "
                    f"the target input `{self.target}`, so there is nothing to step. Build a model "
                    "with the other outputs alone."
                )


def record(node, outputs, values):
    """Put a node's outputs into `values` under their symbolic tensors."""
    for tensor, value in zip(node.outputs, keras.tree.flatten(outputs), strict=True):
        values[id(tensor)] = value


def is_sequence_layer(operation):
    """Whether `operation` keeps the contract: `initial_state` and `step`."""
    return callable(getattr(operation, "step", None)) and callable(
        getattr(operation, "initial_state", None)
    )


def vocabulary_size(model, input_name):
    """The number of ids that `model` knows for an input, or `None` if it does not tell.

    Looks for the embedding that reads the input, inside nested models too.
    """
    functional = functional_of(model)
    names = input_names(functional)
    tensor = functional.inputs[names.index(input_name)]
    for node in graph_nodes(model):
        if not any(t is tensor for t in node.input_tensors):
            continue
        operation = node.operation
        for attribute in ("vocabulary_size", "input_dim"):
            size = getattr(operation, attribute, None)
            if isinstance(size, int):
                return size
        if is_functional(operation) and len(functional_of(operation).inputs) == 1:
            return vocabulary_size(operation, input_names(functional_of(operation))[0])
    return None


def _kind(node):
    if is_functional(node.operation):
        return "model"
    return "sequence" if is_sequence_layer(node.operation) else "pointwise"


def _describe(operation):
    return f"`{operation.name}` ({type(operation).__name__})"


def input_names(functional):
    """Names of the inputs: the keys where the model takes a dict, else the tensors' own."""
    structure = functional._inputs_struct
    if isinstance(structure, dict) and all(hasattr(t, "shape") for t in structure.values()):
        names = {id(t): name for name, t in structure.items()}
        return [names[id(t)] for t in functional.inputs]
    return [t.name for t in functional.inputs]


def _find_target(names, target):
    if target is not None:
        if target not in names:
            raise ValueError(
                f"`target` must name an input of the model: one of {names}. Received: {target!r}"
            )
        return target
    if len(names) == 1:
        return names[0]
    if "target" in names:
        return "target"
    raise ValueError(
        f"The model has the inputs {names}, and none of them is called 'target'. Pass the name of "
        "the one that holds the target sequence: Stepper(model, target=...)."
    )
