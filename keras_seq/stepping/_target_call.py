"""One call in a model that depends on the target sequence, and how it is stepped."""

import inspect

import keras
from keras import ops

from keras_seq.layers._keras_private import get_mask, set_mask
from keras_seq.stepping._hints import hint
from keras_seq.stepping.pointwise import is_reshape, why_not_pointwise, why_not_sublayers

FINAL_STATE = "the state of a layer after the last step"
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
            self.without_time.update({key: (FINAL_STATE, None) for key, _ in outputs[count:]})

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
