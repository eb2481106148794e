"""A functional model's graph, split at the target: which calls depend on it, and how they step."""

import inspect

import keras
from keras import ops

from keras_seq.layers._keras_private import get_mask, set_mask
from keras_seq.stepping._graph import Call, Enter, Graph
from keras_seq.stepping._hints import hint
from keras_seq.stepping._keras_private import (
    functional_of,
    input_names,
    is_functional,
)
from keras_seq.stepping.pointwise import (
    is_reshape,
    why_not_pointwise,
    why_not_sublayers,
)

_FINAL_STATE = "the state of a layer after the last step"
_NO_TENSORS = ("training", "return_state", "return_attention_scores", "return_sequences")


class TargetCall:
    """A `Call` whose output depends on the target sequence, and how it is stepped.

    Attributes:
        call: the `Call`; `name`, `reads` and `gives` are its own.
        operation: what to call: the layer or op, or what does the same on any number of steps.
        is_sequence: whether it keeps the contract of `SequenceLayer`; else it is pointwise in time.
        context: dict of the arguments of a sequence layer that do not depend on the target, which
            its `get_initial_state` takes: symbolic tensors, or constants.
        initial_state: what the model passes as the layer's `initial_state`, or `None`.
        without_time: dict from key of an output whose axis 1 is not the time to what it is, and the
            axis of its time or `None`.
    """

    def __init__(self, call, depends):
        self.call = call
        self.name, self.reads, self.gives = call.name, call.reads, call.gives
        self.operation = self.operation_or_none = call.operation
        self.is_sequence = is_sequence_layer(call.operation)
        self.context, self.initial_state, self.without_time = {}, None, {}

        def on_target(tensor):
            return (call.scope, id(tensor)) in depends

        if self.is_sequence:
            self._bind(on_target)
            _check_sequence_layer(self.operation)
        else:
            self._check_pointwise(on_target)
            if is_reshape(self.operation):
                self.operation = _reshaping(call.node.outputs[0].shape[2:])
            elif type(self.operation).__name__ == "Add":
                self.operation = _adding(self.operation)
        self._find_outputs_without_time()

    def time_axis(self, i):
        """The axis of the time in output `i`, flat, or `None` where it has none."""
        return self.without_time.get(self.gives[i], ("", 1))[1]

    def bound(self, values):
        """The arguments of the operation's `call` by name."""
        args, kwargs = self.call.arguments(values)
        return inspect.signature(self.operation.call).bind(*args, **kwargs).arguments

    def _find_outputs_without_time(self):
        """Attention weights of each head, (B, H, T, S), and states, of which no step knows."""
        node = self.call.node
        arguments = node.arguments.kwargs
        outputs = list(zip(self.gives, node.outputs, strict=True))[1:]
        wanted = arguments.get("return_attention_scores")
        # A decoder block gives those of both its attentions, all of them before the state.
        both = wanted == "both" and getattr(self.operation, "cross_attention", None) is not None
        count = (2 if both else 1) if wanted else 0
        for key, weights in outputs[:count]:
            if len(weights.shape) == 4:
                self.without_time[key] = ("attention weights", 2)
        if arguments.get("return_state") or getattr(self.operation, "return_state", False):
            self.without_time.update({key: (_FINAL_STATE, None) for key, _ in outputs[count:]})

    def _bind(self, on_target):
        """Sort the arguments: the target comes first, and nothing else may depend on it."""
        layer, node = self.operation, self.call.node
        parameters = inspect.signature(layer.call).parameters
        self.target_argument = next(iter(parameters))
        known = inspect.signature(layer.get_initial_state).parameters
        arguments = inspect.signature(layer.call).bind(
            *node.arguments.args, **node.arguments.kwargs
        )
        for argument, value in arguments.arguments.items():
            leaves = keras.tree.flatten(value)
            symbolic = [t for t in leaves if isinstance(t, keras.KerasTensor)]
            if value is None or argument in _NO_TENSORS or not leaves:
                continue
            if argument == "mask":
                self._check_mask(symbolic, on_target)
                continue
            depends = any(map(on_target, symbolic))
            if argument == self.target_argument:
                if not depends:
                    raise ValueError(
                        f"{describe(layer)} cannot be stepped: its argument `{argument}` does not "
                        "depend on the target, though a later argument does. Pass the target "
                        "sequence first."
                    )
            elif depends:
                raise ValueError(
                    f"{describe(layer)} cannot be stepped: its argument `{argument}` depends on "
                    "the whole target sequence. Only the first argument may; the others must come "
                    "from the context (the encoder)."
                    + (
                        " A start state that is learned is keras_seq.layers.LearnedInitialState, "
                        "which depends on the batch size alone."
                        if argument == "initial_state"
                        else ""
                    )
                )
            elif argument == "initial_state":
                self.initial_state = value
            elif argument in known:
                self.context[argument] = value
            elif symbolic or any(map(_is_array, leaves)):
                raise ValueError(
                    f"{describe(layer)} cannot be stepped: its argument `{argument}` is a tensor "
                    "for the whole sequence, of which a single step has no part. Leave it out, or "
                    "call the model on whole sequences."
                )

    def _check_mask(self, symbolic, on_target):
        if not symbolic or not all(map(on_target, symbolic)):
            raise ValueError(
                f"{describe(self.operation)} cannot be stepped: its `mask` does not depend on the "
                "target sequence, so a single step has no part of it. Make the mask from the "
                "target, such as `mask=keras.ops.not_equal(target, 0)`."
            )

    def _check_pointwise(self, on_target):
        node, operation = self.call.node, self.operation
        args, kwargs = node.arguments.args, node.arguments.kwargs
        reason = why_not_pointwise(operation, args, kwargs, node.outputs, on_target)
        if reason is not None:
            raise ValueError(
                f"{describe(operation)} cannot be stepped: {reason}. {hint(operation, reason)}"
            )


class TargetGraph:
    """A functional model split at the target input: the context, computed once, and the rest.

    Args:
        model: functional or Sequential `keras.Model`.
        target: the name of the target input, a list of several, or `None` to find it.

    Attributes:
        inputs: dict from input name to symbolic tensor.
        targets: names of the target inputs; `target` is the name alone where there is one.
        context_inputs: names of the others.
        context_steps, target_steps: what `Graph.steps` holds, split, `TargetCall`s in the second.
        depends: keys of all values that depend on the target.

    Raises:
        TypeError: if `model` has no graph.
        ValueError: if the target input is unknown or unclear, or a call cannot be stepped.
    """

    def __init__(self, model, target=None):
        if not is_functional(model):
            raise TypeError(
                "`model` must be a functional (or built Sequential) keras.Model, because stepping "
                f"walks its graph. Received: {type(model).__name__} `{getattr(model, 'name', '')}`"
            )
        self.model = model
        self.graph = Graph(model)
        self.input_names = input_names(model)
        self.inputs = dict(zip(self.input_names, functional_of(model).inputs, strict=True))
        self.keys = dict(zip(self.input_names, self.graph.inputs, strict=True))
        self.targets = _find_targets(self.input_names, target)
        self.target = self.targets[0] if len(self.targets) == 1 else self.targets
        self.context_inputs = [name for name in self.input_names if name not in self.targets]
        self.depends = {self.keys[name] for name in self.targets}
        self.without_time = {}  # as in `TargetCall`, of all calls
        self.context_steps, self.target_steps = [], []
        for step in self.graph.steps:
            self._sort(step)
        self.outputs = functional_of(model).outputs
        self._check_outputs()

    def _sort(self, step):
        if isinstance(step, Call):
            _check_training(step)
        on_target = any(key in self.depends for key in step.reads)
        if not on_target or getattr(step.operation_or_none, "depends_on_batch_alone", False):
            self.context_steps.append(step)
            return
        if isinstance(step, Call):
            self._check_time(step)
            step = TargetCall(step, self.depends)
            self.without_time.update(step.without_time)
        elif isinstance(step, Enter):
            self._check_entered(step)
        else:  # what an inner output is, the outer one is
            (inner,), (outer,) = step.reads, step.gives
            if inner in self.without_time:
                self.without_time[outer] = self.without_time[inner]
        self.target_steps.append(step)
        self.depends.update(step.gives)

    @property
    def target_calls(self):
        return [step for step in self.target_steps if isinstance(step, TargetCall)]

    def operations(self):
        """All layers and ops of the graph, those of models inside it included, context or not."""
        return [call.operation for call in self.graph.calls]

    def run_context(self, inputs, batch_size):
        """Values of all that does not depend on the target, by key.

        Args:
            inputs: dict from context input name to tensor.
            batch_size: B, an int or a scalar tensor.
        """
        values = {self.keys[name]: inputs[name] for name in self.context_inputs}
        for step in self.context_steps:
            if getattr(step.operation_or_none, "depends_on_batch_alone", False):
                step.record(step.operation.for_batch(batch_size), values)
            else:
                step.run(values)
        return values

    def needed_context(self):
        """Keys of the context that every step reads or gives, by a unique name."""
        needed = {key: None for key in self.graph.outputs if key not in self.depends}
        for step in self.target_steps:
            if getattr(step, "is_sequence", False):
                continue  # these read their context once, in `get_initial_state`
            needed.update({key: None for key in step.reads if key not in self.depends})
        return {f"context_{i}": key for i, key in enumerate(needed)}

    def output_time_axis(self, i):
        """The axis of the time in the model's output `i`, or `None` where it has none."""
        key = self.graph.outputs[i]
        if key in self.without_time:
            return self.without_time[key][1]
        return 1 if key in self.depends else None

    def _check_outputs(self):
        if not any(key in self.depends for key in self.graph.outputs):
            raise ValueError(
                f"No output of model `{self.model.name}` depends on the target input "
                f"`{self.target}`, so there is nothing to step."
            )
        for key, tensor in zip(self.graph.outputs, self.outputs, strict=True):
            if self.without_time.get(key, ("",))[0] == _FINAL_STATE:
                raise ValueError(
                    f"The output {tensor.name!r} of model `{self.model.name}` is {_FINAL_STATE}, "
                    "which is not known step by step. Step a model without that output."
                )

    def _check_time(self, call):
        for key in call.reads:
            if key in self.without_time:
                raise ValueError(
                    f"{describe(call.operation)} cannot be stepped: it reads "
                    f"{self.without_time[key][0]}, which has no time axis where a step would "
                    "look for it. Step a model without it."
                )

    def _check_entered(self, step):
        mask, value = step.mask, step.value_key in self.depends
        if step.value_key in self.without_time:
            self.without_time[step.key] = self.without_time[step.value_key]
        if mask is not None and (step.mask_key in self.depends) != value:
            raise ValueError(
                f"Model `{step.model.name}` inside the model cannot be stepped: of its input "
                f"`{step.symbolic.name}` and the `mask` passed with it, one depends on the target "
                "sequence and the other does not. Make the mask from the input that it masks."
            )
        if value and len(step.symbolic.shape) < 2:
            raise ValueError(
                f"Model `{step.model.name}` inside the model cannot be stepped: its input "
                f"`{step.symbolic.name}` has no time axis."
            )


def is_sequence_layer(operation):
    """Whether `operation` keeps the contract: `get_initial_state` and `step`."""
    return callable(getattr(operation, "step", None)) and callable(
        getattr(operation, "get_initial_state", None)
    )


def describe(operation):
    return f"`{operation.name}` ({type(operation).__name__})"


def _check_sequence_layer(layer):
    check = getattr(layer, "_check_causal", None)
    if check is not None:
        check()
    if getattr(layer, "return_sequences", True) is False:
        raise ValueError(
            f"{describe(layer)} gives only its last output, so the model cannot be stepped. Build "
            "it with `return_sequences=True`."
        )
    reason = why_not_sublayers(layer)
    if reason is not None:
        raise ValueError(f"{describe(layer)} cannot be stepped: {reason}. {hint(layer, reason)}")


def _check_training(call):
    """Refuse `training=True` that the graph itself passes."""
    arguments = call.node.arguments
    if arguments.kwargs.get("training") is True or call.scope_is_training:
        raise ValueError(
            f"{describe(call.operation)} cannot be stepped: the model calls it with "
            "`training=True`, so that it would normalize each step by its own statistics, or drop "
            "other values at each step, and change its moving averages. Build the model without "
            "`training=True`; `fit` turns training on by itself."
        )


def _is_array(value):
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _reshaping(features):
    def reshape(x, *args, **kwargs):
        """The reshape for any number of time steps: the features alone change."""
        return ops.reshape(x, (*ops.shape(x)[:2], *features))

    return reshape


def _adding(operation):
    """`Add` whose addends are as wide as each other.

    Keras 3.15 on TensorFlow takes a (B, 1, 1) addend, as a step has it, for a bias where B equals
    the number of features.
    """

    def add(*args, **kwargs):
        tensors = [x for x in keras.tree.flatten(args) if hasattr(x, "shape")]
        width = max((x.shape[-1] or 0 for x in tensors if len(x.shape)), default=1)

        def widen(x):
            if len(getattr(x, "shape", ())) < 3 or x.shape[-1] != 1 or width == 1:
                return x
            return set_mask(ops.broadcast_to(x, (*ops.shape(x)[:-1], width)), get_mask(x))

        return operation(*keras.tree.map_structure(widen, args), **kwargs)

    return add


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
