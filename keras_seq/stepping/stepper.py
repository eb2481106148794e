"""`Stepper`: any causal functional model, one time step at a time."""

import inspect

import keras
from keras import ops

from keras_seq.layers._keras_private import drop_mask, get_mask, set_mask
from keras_seq.layers.sequence_layer import is_mask_of
from keras_seq.stepping._compiled_step import CompiledStep, can_compile
from keras_seq.stepping._fingerprint import ModelFingerprint
from keras_seq.stepping._target_call import TargetCall
from keras_seq.stepping._target_graph import TargetGraph
from keras_seq.stepping.self_check import check, check_once


class Stepper:
    r"""Runs a functional model step by step, with the state that its layers need.

    A causal model computes `y_t = f(x_1, ..., x_t, context)`. The stepper walks the model's graph:
    what does not depend on the target input (the encoder) is computed once; a layer that keeps the
    contract of `keras_seq.layers.SequenceLayer` is stepped with its own slot of the state; a Keras
    layer or op that acts on each time step alone is simply called on the step. KV caches, recurrent
    states and positions follow from the graph, and the model's author writes nothing.

    Functional models inside the model are walked too, and a layer called twice has two states. A
    start state that the model passes to a layer (`initial_state=`) is kept: from the context, a
    constant, a `keras.Variable`, or a learned one (`keras_seq.layers.LearnedInitialState`).
    Outputs that do not depend on the target are computed once and given at every step.

    Args:
        model: functional (or built Sequential) `keras.Model`.
        target: name of the input that holds the target sequence, or a list of names where several
            inputs come step by step. By default the only input, or the one named `"target"`; the
            other inputs are the context.
        self_check: whether to compare stepping with the model's own call right away, on small
            random inputs (see `check`); done once for a model, in a fraction of a second.
        jit_compile: how `step` runs when it is called from Python and not in a compiled function.
            `"auto"`: as a graph on TensorFlow, compiled by XLA on JAX, made at the first step of
            each set of shapes. True: compiled by XLA on TensorFlow, too. False: operation by
            operation.

    Raises:
        TypeError: if `model` has no graph to walk.
        ValueError: if the target input is unclear, a layer on the path from it cannot be stepped
            (named, with what to do), or the self-check finds a layer that steps to other numbers.

    Example:

    ```python
    import keras
    import numpy as np
    import keras_seq

    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(50, 16)(tokens)
    x = keras_seq.layers.GRU(16, return_sequences=True)(x)
    x = x + keras_seq.layers.MultiHeadSelfAttention(2, 8, causal=True)(x)
    model = keras.Model(tokens, keras.layers.Dense(50)(x))

    stepper = keras_seq.stepping.Stepper(model)
    ids = np.array([[3, 14, 15, 9]])
    state = stepper.get_initial_state(batch_size=1, max_length=4)
    y, state = stepper.prefill(ids[:, :3], state)   # (1, 3, 50)
    y, state = stepper.step(ids[:, 3:], state)      # (1, 1, 50)
    np.testing.assert_allclose(y[:, 0], model(ids)[:, 3], atol=1e-5)
    ```
    """

    def __init__(self, model, target=None, self_check=True, jit_compile="auto"):
        if jit_compile not in ("auto", True, False):
            raise ValueError(
                "`jit_compile` of Stepper must be 'auto', True or False. Received: "
                f"jit_compile={jit_compile!r}"
            )
        self.graph = TargetGraph(model, target)
        self.model = model
        self.target = self.graph.target
        self.context_inputs = self.graph.context_inputs
        self._context = self.graph.needed_context()
        self._fingerprint = ModelFingerprint(model)
        self._compiled_step = CompiledStep(self, jit_compile) if jit_compile else None
        if self_check:
            check_once(self)

    def get_initial_state(self, batch_size=None, max_length=None, inputs=None):
        """Compute the context and the state before the first step.

        Args:
            batch_size: B; needed only where there is no context to tell it.
            max_length: the largest number of target steps. More are an error outside compiled
                functions; inside one the position is not known while it is traced, and steps past
                the end give wrong numbers without an error, so leave enough room.
            inputs: the context: a dict from input name to tensor, or the tensor alone where there
                is one context input; `None` where there is none.

        Returns:
            A nest of tensors: `context`, what every step reads, and `layers`, one state for each
            call of a layer that has one.

        Raises:
            ValueError: if a context input is missing or unknown, or the batch size is.
        """
        self._look_again_if_changed()
        inputs = self.context(inputs)
        if batch_size is None:
            if not inputs:
                raise ValueError(
                    "`batch_size` must be given: the model has no context input that would tell it."
                )
            batch_size = ops.shape(next(iter(inputs.values())))[0]
        return self._start(self.graph.run_context(inputs, batch_size), batch_size, max_length)

    def _look_again_if_changed(self):
        """Refuse a model whose layers have become such, by a new activation, that cannot step."""
        fingerprint = ModelFingerprint(self.model)
        if fingerprint != self._fingerprint:
            self.graph = TargetGraph(self.model, self.graph.targets)
            self._fingerprint = fingerprint
            if self._compiled_step:
                self._compiled_step.clear()

    def context(self, inputs):
        """The context inputs as a dict of tensors, checked against the model's."""
        dtypes = {name: self.graph.inputs[name].dtype for name in self.context_inputs}
        inputs = self.named_context(inputs)
        return {name: ops.convert_to_tensor(inputs[name], dtype=dtypes[name]) for name in inputs}

    def named_context(self, inputs):
        """The context inputs as a dict, as they are, in the model's order."""
        names = self.context_inputs
        if inputs is None:
            inputs = {}
        elif not isinstance(inputs, dict):
            flat = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
            if len(flat) != len(names):
                raise ValueError(
                    f"`inputs` must hold the model's context inputs {names}. Received {len(flat)} "
                    "tensors."
                )
            inputs = dict(zip(names, flat, strict=True))
        if set(inputs) != set(names):
            raise ValueError(
                f"`inputs` must hold the model's context inputs {names}. Received: {sorted(inputs)}"
            )
        return {name: inputs[name] for name in names}

    def _start(self, values, batch_size, max_length):
        context = {name: values[key] for name, key in self._context.items()}
        # A mask that travels with a tensor would be lost at the boundary of a compiled function.
        masks = {f"{name}_mask": get_mask(value) for name, value in context.items()}
        states = {}
        for step in self.graph.target_steps:
            if getattr(step, "is_sequence", False):
                states[step.name] = self._first_state(step, values, batch_size, max_length)
            elif isinstance(step.operation_or_none, keras.layers.MultiHeadAttention):
                # In the model's own call, no later layer sees these masks.
                for key in step.reads:
                    if key in values:
                        drop_mask(values[key])
        context.update({name: mask for name, mask in masks.items() if mask is not None})
        return {"context": context, "layers": states}

    def _first_state(self, call, values, batch_size, max_length):
        def value(x):
            return values[(call.call.scope, id(x))] if isinstance(x, keras.KerasTensor) else x

        layer = call.operation
        if call.initial_state is not None:
            given = keras.tree.map_structure(value, call.initial_state)
            # A layer that keeps the contract need not derive from `SequenceLayer`.
            standardize = getattr(layer, "_standardize_state", lambda state, _: state)
            return standardize(given, batch_size)
        context = {
            argument: keras.tree.map_structure(value, given)
            for argument, given in call.context.items()
        }
        return layer.get_initial_state(batch_size, max_length, **context)

    def prefill(self, x, state, mask=None, reset=None):
        """Run the model on the first T target steps, or the next T, at once.

        Args:
            x: (B, T) token ids, or (B, T, D) floats, as the target input takes them; a dict by name
                where there are several target inputs.
            state: what `get_initial_state`, `prefill` or `step` gave.
            mask: optional (B, T) boolean, False where a step is to leave the state as it is.
            reset: optional (B, T) boolean, True where the states of recurrent layers are zero
                before the step; for models in which nothing else has a state.

        Returns:
            `(outputs, state)`; outputs have the model's structure, T time steps each.

        Raises:
            ValueError: if `state` is not of this kind, or `mask` not of this shape.
        """
        _check_state(state)
        x = self._named_targets(x)
        mask, reset = (
            None if given is None else ops.cast(ops.convert_to_tensor(given), "bool")
            for given in (mask, reset)
        )
        for name, given in (("mask", mask), ("reset", reset)):
            for target, value in x.items():
                if given is not None and not is_mask_of(given, value):
                    raise ValueError(
                        f"`{name}` must have shape (B, T) = {tuple(value.shape[:2])}, one value "
                        f"for each step of `{target}`. Received: shape {tuple(given.shape)}"
                    )
        return self._run(x, state, mask=mask, reset=reset)

    def step(self, x, state, mask=None):
        """Run the model on one target step.

        Args:
            x: (B, 1) token ids, or (B, 1, D) floats.
            state: what `get_initial_state`, `prefill` or `step` gave.
            mask: optional (B, 1) boolean, False where the step is to leave the state as it is.

        Returns:
            `(outputs, state)`; outputs have the model's structure, one time step each.
        """
        _check_state(state)
        x = self._named_targets(x)
        mask = None if mask is None else ops.cast(ops.convert_to_tensor(mask), "bool")
        if self._compiled_step and can_compile(x, state, mask):
            return self._compiled_step(x, state, mask)
        return self.prefill(x, state, mask)

    def _run(self, x, state, trace=None, mask=None, reset=None):
        """`(outputs, state)` after the next steps; the other arguments as for `_walk`."""
        values = {self.graph.keys[name]: value for name, value in x.items()}
        for name, key in self._context.items():
            value, own = (state["context"].get(n) for n in (name, f"{name}_mask"))
            # A tensor of its own, because Keras' MultiHeadAttention deletes masks.
            values[key] = value if own is None else set_mask(ops.copy(value), own)
        states = self._walk(values, state, trace, mask, reset)
        return self._outputs(values), {"context": state["context"], "layers": states}

    def _call(self, inputs, trace=None):
        """Outputs of the whole sequence; `inputs` by name, `trace` as for `_walk`."""
        context = {name: inputs[name] for name in self.context_inputs}
        batch_size = ops.shape(next(iter(inputs.values())))[0]
        values = self.graph.run_context(context, batch_size)
        for name in self.graph.targets:
            values[self.graph.keys[name]] = inputs[name]
        self._walk(values, None, trace)
        return self._outputs(values)

    def _named_targets(self, x):
        """The targets as a dict from input name to tensor, each with its mask."""
        names = self.graph.targets
        if not isinstance(x, dict):
            x = {names[0]: x} if len(names) == 1 else dict(zip(names, x, strict=True))
        if set(x) != set(names):
            raise ValueError(f"`x` must hold the target inputs {names}. Received: {sorted(x)}")
        named = {}
        for name in names:
            value = ops.cast(ops.convert_to_tensor(x[name]), self.graph.inputs[name].dtype)
            named[name] = set_mask(value, get_mask(x[name]))
        return named

    def _walk(self, values, state, trace=None, mask=None, reset=None):
        """Run all target calls: the states after them.

        Args:
            values: dict from key to value, which is filled.
            state: the state before, or `None` to call the layers on the whole sequence.
            trace: list that gets `(call, flat outputs)` of every call, in order.
            mask: (B, T) boolean, False where no layer may change its state, whatever masks travel.
            reset: (B, T) boolean, for the layers that take it.
        """
        states = {}
        for step in self.graph.target_steps:
            if not isinstance(step, TargetCall):
                step.run(values)
                continue
            if step.is_sequence and state is not None:
                before = state["layers"][step.name]
                y, states[step.name] = _step_layer(step, values, before, mask, reset)
            else:
                args, kwargs = step.call.arguments(values)
                # Keras records a default there; without it the layer has what the outer call has.
                kwargs = {name: value for name, value in kwargs.items() if name != "training"}
                y = step.operation(*args, **kwargs)
            step.call.record(y, values)
            if trace is not None:
                trace.append((step, keras.tree.flatten(y)))
        return states

    def _outputs(self, values):
        return self.graph.graph.pack([values[key] for key in self.graph.graph.outputs])

    def check(self, inputs=None, batch_size=2, length=None, atol=None):
        """Compare stepping with the model's own call on random targets.

        It leaves weights, states and seeds of the model as they are.

        Args:
            inputs: the context, as for `get_initial_state`; random if `None`.
            batch_size: B of the random inputs, where the model does not fix it.
            length: T, target steps to compare; the first half is prefilled. `None`: 6, or what the
                model's input allows.
            atol: tolerance, the largest difference allowed, relative to outputs beyond one in size.
                `None`: 1e-4, or 32 roundings of the dtype for models that compute in 16 bit.

        Returns:
            The largest difference.

        Raises:
            ValueError: if stepping and calling differ by more than `atol`; it names the first
                layer whose output differs.
        """
        return check(self, inputs, batch_size, length, atol)


def _check_state(state):
    if not isinstance(state, dict) or not {"context", "layers"} <= set(state):
        got = sorted(state) if isinstance(state, dict) else type(state).__name__
        raise ValueError(
            "`state` must be what `get_initial_state(...)`, `prefill` or `step` of this "
            f"Stepper gave, a dict with 'context' and 'layers'. Received: {got}"
        )


def _step_layer(call, values, state, mask, reset):
    bound = call.bound(values)
    target = bound.pop(call.target_argument)
    own = {"training", "initial_state", "return_state", *call.context}
    extra = {name: value for name, value in bound.items() if name not in own}
    if extra.get("mask") is None:
        extra["mask"] = get_mask(target)
    if mask is not None:  # it does not travel with the target, for an embedding would drop it
        own = extra["mask"]
        extra["mask"] = mask if own is None else ops.logical_and(own, mask)
    if reset is not None and takes_reset(call.operation):
        extra["reset"] = reset
    *y, new_state = call.operation.step(target, state, **extra)
    if call.operation.supports_masking and get_mask(y[0]) is None:
        set_mask(y[0], extra["mask"])
    return y, new_state


def takes_reset(layer):
    """Whether the state of `layer` can be set to zero at a step (`reset=` of its call)."""
    takes = "reset" in inspect.signature(layer.call).parameters
    return takes and getattr(layer, "can_reset_state", True)
