"""A functional model's graph, run with `reset` handed to every layer that looks along time."""

import inspect

import keras

from keras_seq.stepping._graph import Call, Graph, match_inputs
from keras_seq.stepping._hints import hint
from keras_seq.stepping._target_call import describe, is_sequence_layer
from keras_seq.stepping.pointwise import why_not_pointwise, why_not_sublayers
from keras_seq.training._bidirectional import call_bidirectional, why_not_bidirectional

_ANY = (
    "Use a layer of keras_seq.layers in its place, give the `call` of your layer an argument "
    "`reset`, (B, T) boolean, True where a document begins, or, if it does act on each time step "
    "alone, declare so with keras_seq.stepping.register_pointwise."
)
_WITHOUT_INITIAL_STATE = (
    "Leave it out: documents within a row begin with zeros, so the first one has to, as well."
)


class PackedGraph:
    """The calls of a model with one input, each of which documents of a row can share.

    Args:
        model: functional or built Sequential `keras.Model` with one input, which is (B, T, ...).

    Raises:
        ValueError: if a layer lets documents leak into each other.
    """

    def __init__(self, model):
        self.graph = Graph(model)
        self._on_time = set(self.graph.inputs)  # keys of what depends on the input
        self._without_time = {}  # key of an output whose axis 1 is not the time, to what it is
        self._run_call = {}  # call to what runs it
        for step in self.graph.steps:
            self._add(step)
        for key in self.graph.outputs:
            if key in self._without_time:
                raise ValueError(
                    f"Model `{model.name}` cannot be packed: one of its outputs is "
                    f"{self._without_time[key]}, which is that of a whole row, not of a document. "
                    "Make a model without that output: keras.Model(inputs, other_outputs)."
                )

    def run(self, x, reset, training):
        """The model's outputs for x (B, T, ...) with documents that begin where `reset` says.

        Args:
            x: the input, a tensor.
            reset: (B, T) boolean tensor.
            training: what the outer call was given.
        """
        values = dict(zip(self.graph.inputs, match_inputs(self.graph.model, [x]), strict=True))
        for step in self.graph.steps:
            if not isinstance(step, Call):
                step.run(values)
                continue
            args, kwargs = step.arguments(values)
            if training is not None:  # the outer call's, as in the model's own call
                kwargs.pop("training", None)
            step.record(self._run_call[step](args, kwargs, reset), values)
        return self.graph.pack([values[key] for key in self.graph.outputs])

    def _add(self, step):
        """Check one step of the graph, and choose how it is run."""
        if not isinstance(step, Call):
            on_time = any(key in self._on_time for key in step.reads)
            self._on_time.update(step.gives if on_time else ())
            found = [self._without_time[key] for key in step.reads if key in self._without_time]
            self._without_time.update({key: found[0] for key in step.gives} if found else {})
            return
        operation = step.operation
        self._run_call[step] = lambda args, kwargs, reset: operation(*args, **kwargs)
        on_time = any(key in self._on_time for key in step.reads)
        if not on_time or getattr(operation, "depends_on_batch_alone", False):
            return
        self._on_time.update(step.gives)
        for key in step.reads:
            if key in self._without_time:
                _refuse(operation, f"it reads {self._without_time[key]}", "Leave it out.")
        if type(operation) is keras.layers.Bidirectional:
            self._add_bidirectional(step)
        elif is_sequence_layer(operation) or _takes_reset(operation):
            self._add_sequence_layer(step)
        else:
            node = step.node
            reason = why_not_pointwise(
                operation,
                node.arguments.args,
                node.arguments.kwargs,
                node.outputs,
                lambda tensor: (step.scope, id(tensor)) in self._on_time,
            )
            if reason is not None:
                _refuse(operation, reason, hint(operation, reason, _ANY))

    def _add_bidirectional(self, step):
        layer = step.operation
        reason = why_not_bidirectional(layer)
        if reason is not None:
            _refuse(layer, *reason)
        self._check_arguments(step)
        self._run_call[step] = lambda args, kwargs, reset: call_bidirectional(
            layer, *args, reset=reset, **kwargs
        )

    def _add_sequence_layer(self, step):
        layer = step.operation
        arguments = self._check_arguments(step)
        if getattr(layer, "return_sequences", True) is False:
            _refuse(layer, "it gives the last output of a row only", "Use `return_sequences=True`.")
        if getattr(layer, "stateful", False):
            _refuse(layer, "it carries its state to the next batch", "Make it without `stateful`.")
        if getattr(layer, "go_backwards", False):
            _refuse(
                layer,
                "it runs backwards, so that it meets the end of a document first",
                "Put a layer that runs forwards into keras.layers.Bidirectional.",
            )
        reason = why_not_sublayers(layer)
        if reason is not None:
            _refuse(layer, reason, hint(layer, reason, _ANY))
        if _takes_reset(layer):
            self._find_outputs_without_time(step, arguments)
            self._run_call[step] = lambda args, kwargs, reset: layer(*args, reset=reset, **kwargs)
        elif not getattr(layer, "causal", True) or keras.tree.flatten(_state(layer, arguments)):
            _refuse(
                layer,
                "it looks along time and its `call` has no argument `reset`, so that documents in "
                "a row would leak into each other",
                _ANY,
            )

    def _check_arguments(self, step):
        """Raise if an argument lets documents share something; the arguments by name."""
        layer, given = step.operation, step.node.arguments
        arguments = inspect.signature(layer.call).bind(*given.args, **given.kwargs).arguments
        (first, _), *others = arguments.items()
        for name, value in others:
            if not any(hasattr(leaf, "shape") for leaf in keras.tree.flatten(value)):
                continue
            on_time = any(
                (step.scope, id(leaf)) in self._on_time for leaf in keras.tree.flatten(value)
            )
            if name == "mask":
                if not on_time:
                    _refuse(
                        layer,
                        "its `mask` does not depend on the model's input",
                        "Make the mask from the input, such as keras.ops.not_equal(tokens, 0).",
                    )
            elif name == "initial_state":
                _refuse(layer, "it is given an `initial_state`", _WITHOUT_INITIAL_STATE)
            elif on_time:
                _refuse(
                    layer,
                    f"its `{name}` depends on the model's input, so that documents share it",
                    f"Only its first argument, `{first}`, and `mask` may.",
                )
            elif not _is_context(layer, name):
                _refuse(layer, f"its `{name}` is a tensor for whole rows", "Leave it out.")
        return arguments

    def _find_outputs_without_time(self, step, arguments):
        """States after the last step of a row, and attention weights (B, H, T, S)."""
        returns_state = arguments.get("return_state") or getattr(
            step.operation, "return_state", False
        )
        if not returns_state and not arguments.get("return_attention_scores"):
            return
        if arguments.get("return_state") and not getattr(step.operation, "can_reset_state", True):
            _refuse(step.operation, "it returns its state", "Call it without `return_state`.")
        what = "the state of a layer after the last step, or attention weights"
        self._without_time.update({key: what for key in step.gives[1:]})


def _takes_reset(operation):
    return "reset" in inspect.signature(operation.call).parameters


def _is_context(layer, argument):
    """Whether a layer takes an argument of its `call` for its state, too: an encoder's output."""
    start = getattr(layer, "get_initial_state", None)
    return start is not None and argument in inspect.signature(start).parameters


def _state(layer, arguments):
    """What a layer keeps from step to step, unless it is a context that no document owns."""
    if any(_is_context(layer, name) for name in arguments):
        return ()
    return layer.get_initial_state(1, 1)


def _refuse(operation, reason, what_to_do):
    raise ValueError(f"{describe(operation)} cannot be packed: {reason}. {what_to_do}")
