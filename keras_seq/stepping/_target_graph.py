"""What a functional model's graph says about stepping: which nodes hang on the target sequence."""

import inspect

import keras
from keras import ops

from keras_seq.stepping._hints import remedy
from keras_seq.stepping._keras_private import (
    fill_arguments,
    functional_of,
    graph_nodes,
    graph_outputs,
    is_functional,
)
from keras_seq.stepping.pointwise import is_foreign, is_reshape, why_not_pointwise

_FINAL_STATE = "the state of a layer after the last step"


class TargetNode:
    """One call in the graph whose output depends on the target sequence.

    Attributes:
        node: the Keras node.
        operation: what to call: the node's layer or op, or what does the same on any number of
            steps.
        name: unique in the model; a layer called twice has a node, a name and a state for each
            call.
        kind: "sequence" (has a step of its own), "model" (a functional model inside) or
            "pointwise".
        context_arguments: names of the tensor arguments that do not depend on the target.
        off_time: dict from id of an output whose axis 1 is not the time to what it is, and the axis
            of its time or `None`.
        inner: dict from input name of a model inside to the tensor that it gets; `inner_targets`
            are the names of those that depend on the target.
    """

    def __init__(self, node, name, depends):
        self.node = node
        self.name = name
        self.operation = node.operation
        self.kind = _kind(node)
        self.context_arguments, self.off_time = [], {}
        if self.kind == "sequence":
            self._bind(depends)
        elif self.kind == "pointwise":
            self._check_pointwise(depends)
            if is_reshape(node.operation):
                self.operation = _reshaping(node.outputs[0].shape[2:])
        if self.kind == "model":
            self._follow(depends)
        else:
            self._find_off_time()

    def time_axis(self, i):
        """The axis of the time in the node's output `i`, flat, or `None` where it has none."""
        return self.off_time.get(id(self.node.outputs[i]), ("", 1))[1]

    def _find_off_time(self):
        """Attention weights of each head, (B, H, T, S), and states, of which no step knows."""
        bound = self.node.arguments.kwargs
        _, *others = self.node.outputs
        wanted = bound.get("return_attention_scores")
        # A decoder block gives those of both its attentions, all of them before the state.
        both = wanted == "both" and getattr(self.operation, "cross_attention", None) is not None
        scores = others[: 2 if both else 1] if wanted else []
        others = others[len(scores) :]
        for weights in scores:
            if len(weights.shape) == 4:
                self.off_time[id(weights)] = ("attention weights", 2)
        if bound.get("return_state") or getattr(self.operation, "return_state", False):
            self.off_time.update({id(t): (_FINAL_STATE, None) for t in others})

    def _follow(self, depends):
        """Find out what the model inside gets, and what it gives."""
        args, kwargs = self.node.arguments.args, self.node.arguments.kwargs
        # Keras may have put the mask that travels with the input among the arguments.
        flat = keras.tree.flatten(args[0] if args else kwargs["inputs"])
        self.inner = dict(zip(input_names(functional_of(self.operation)), flat, strict=True))
        self.inner_targets = [name for name, t in self.inner.items() if id(t) in depends]
        graph = TargetGraph(self.operation, self.inner_targets)
        for outer, inner in zip(self.node.outputs, graph.outputs, strict=True):
            if id(inner) in graph.off_time:
                self.off_time[id(outer)] = graph.off_time[id(inner)]
            elif id(inner) not in graph.depends:
                self.off_time[id(outer)] = ("an output that does not depend on the target", None)

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
        reason = why_not_pointwise(self.operation, args, kwargs, self.node.outputs, depends)
        if reason is not None:
            what = remedy(self.operation, is_foreign(self.operation), reason)
            raise ValueError(f"{_describe(self.operation)} cannot be stepped: {reason}. {what}")


class TargetGraph:
    """A functional model split at the target input: the context, computed once, and the rest.

    Args:
        model: functional or Sequential `keras.Model`.
        target: the name of the target input, a list of several, or `None` to find it.

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
        self.targets = _find_targets(self.input_names, target)
        self.target = self.targets[0] if len(self.targets) == 1 else self.targets
        self.context_inputs = [name for name in self.input_names if name not in self.targets]
        depends = {id(self.inputs[name]) for name in self.targets}
        self.off_time = {}  # as in `TargetNode`, of all nodes
        self.context_nodes, self.target_nodes, used = [], [], {}
        for node in graph_nodes(model):
            if not any(id(t) in depends for t in node.input_tensors):
                self.context_nodes.append(node)
                continue
            name = node.operation.name
            used[name] = used.get(name, 0) + 1
            name = name if used[name] == 1 else f"{name}_call_{used[name]}"
            self._check_time(node)
            self.target_nodes.append(TargetNode(node, name, depends))
            depends.update(id(t) for t in node.outputs)
            self.off_time.update(self.target_nodes[-1].off_time)
        self.depends = depends
        self.outputs, self.pack_outputs = graph_outputs(model)
        self._check_outputs()

    def operations(self):
        """All layers and ops of the graph, models inside it included, context or not."""
        return list(_operations(self.model))

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
        """Context tensors that every step reads or gives, by a unique name."""
        needed = {id(t): t for t in self.outputs if id(t) not in self.depends}
        for target in self.target_nodes:
            if target.kind != "pointwise":
                continue  # these read their context once, in `get_initial_state`
            for tensor in target.node.input_tensors:
                if id(tensor) not in self.depends:
                    needed[id(tensor)] = tensor
        return {f"context_{i}": tensor for i, tensor in enumerate(needed.values())}

    def _check_outputs(self):
        if not any(id(t) in self.depends for t in self.outputs):
            raise ValueError(
                f"No output of model `{self.model.name}` depends on the target input "
                f"`{self.target}`, so there is nothing to step."
            )
        for tensor in self.outputs:
            if self.off_time.get(id(tensor), ("",))[0] == _FINAL_STATE:
                raise ValueError(
                    f"The output {tensor.name!r} of model `{self.model.name}` is {_FINAL_STATE}, "
                    "which is not known step by step. Step a model without that output."
                )

    def _check_time(self, node):
        for tensor in node.input_tensors:
            if id(tensor) in self.off_time:
                raise ValueError(
                    f"{_describe(node.operation)} cannot be stepped: it reads "
                    f"{self.off_time[id(tensor)][0]}, which has no time axis where a step would "
                    "look for it. Step a model without it."
                )


def record(node, outputs, values, strict=True):
    """Put a node's outputs into `values` under their symbolic tensors; all, or if not strict those
    that come first.
    """
    for tensor, value in zip(node.outputs, keras.tree.flatten(outputs), strict=strict):
        values[id(tensor)] = value


def is_sequence_layer(operation):
    """Whether `operation` keeps the contract: `get_initial_state` and `step`."""
    return callable(getattr(operation, "step", None)) and callable(
        getattr(operation, "get_initial_state", None)
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


def _operations(model):
    for node in graph_nodes(model):
        if is_functional(node.operation):
            yield from _operations(node.operation)
        else:
            yield node.operation


def _reshaping(features):
    def reshape(x, *args, **kwargs):
        """The reshape for any number of time steps: the features alone change."""
        return ops.reshape(x, (*ops.shape(x)[:2], *features))

    return reshape


def _describe(operation):
    return f"`{operation.name}` ({type(operation).__name__})"


def input_names(functional):
    """Names of the inputs: the keys where the model takes a dict, else the tensors' own."""
    structure = functional._inputs_struct
    if isinstance(structure, dict) and all(hasattr(t, "shape") for t in structure.values()):
        names = {id(t): name for name, t in structure.items()}
        return [names[id(t)] for t in functional.inputs]
    return [t.name for t in functional.inputs]


def _find_targets(names, target):
    if target is not None:
        targets = [target] if isinstance(target, str) else list(target)
        unknown = [t for t in targets if t not in names]
        if unknown or not targets:
            raise ValueError(
                f"`target` must name an input of the model: one of {names}, or several in a list. "
                f"Received: {target!r}"
            )
        return targets
    if len(names) == 1:
        return names
    if "target" in names:
        return ["target"]
    raise ValueError(
        f"The model has the inputs {names}, and none of them is called 'target'. Pass the name of "
        "the one that holds the target sequence: Stepper(model, target=...)."
    )
