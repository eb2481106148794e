"""A functional model's graph, split at the target: which calls depend on it, and how they step."""

from keras_seq.stepping._graph import Call, Enter, Graph
from keras_seq.stepping._keras_private import functional_of, input_names, is_functional
from keras_seq.stepping._target_call import FINAL_STATE, TargetCall, describe


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
            if self.without_time.get(key, ("",))[0] == FINAL_STATE:
                raise ValueError(
                    f"The output {tensor.name!r} of model `{self.model.name}` is {FINAL_STATE}, "
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
