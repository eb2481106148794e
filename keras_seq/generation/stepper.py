"""`Stepper`: any causal functional model, one time step at a time."""

import keras
import numpy as np
from keras import ops

from keras_seq._keras import fill_arguments, functional_of, get_mask, set_mask
from keras_seq.generation.graph import TargetGraph, input_names, record, vocabulary_size


class Stepper:
    r"""Runs a functional model step by step, with the state that its layers need.

    A causal model computes `y_t = f(x_1, ..., x_t, context)`. The stepper walks the model's graph:
    what does not depend on the target input (the encoder) is computed once; a layer that keeps the
    contract of `keras_seq.layers.SequenceLayer` is stepped with its own slot of the state; a Keras
    layer or op that acts on each time step alone is simply called on the step. KV caches, recurrent
    states and positions follow from the graph, and the model's author writes nothing.

    Functional models inside the model are walked too, and a layer called twice has two slots.

    Args:
        model: functional (or built Sequential) `keras.Model`.
        target: name of the input that holds the target sequence. By default the only input, or the
            one named `"target"`; the other inputs are the context.

    Raises:
        TypeError: if `model` has no graph to walk.
        ValueError: if the target input is unclear, or a layer on the way from it cannot be stepped
            (named, with what to do).

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

    stepper = keras_seq.generation.Stepper(model)
    ids = np.array([[3, 14, 15, 9]])
    state = stepper.initial_state(batch_size=1, max_length=4)
    y, state = stepper.prefill(ids[:, :3], state)   # (1, 3, 50)
    y, state = stepper.step(ids[:, 3:], state)      # (1, 1, 50)
    np.testing.assert_allclose(y[:, 0], model(ids)[:, 3], atol=1e-5)
    ```
    """

    def __init__(self, model, target=None):
        self.graph = TargetGraph(model, target)
        self.model = model
        self.target = self.graph.target
        self.context_inputs = self.graph.context_inputs
        self._context = self.graph.needed_context()
        self._inner = {}
        for node in self.graph.target_nodes:
            if node.kind == "model":
                self._inner[node.name] = _InnerModel(node, self.graph.depends)
            elif node.kind == "sequence":
                check = getattr(node.operation, "_check_causal", None)
                if check is not None:
                    check()
                if getattr(node.operation, "return_sequences", True) is False:
                    raise ValueError(
                        f"`{node.operation.name}` ({type(node.operation).__name__}) gives only its "
                        "last output, so the model cannot be stepped. Build it with "
                        "`return_sequences=True`."
                    )

    def initial_state(self, inputs=None, batch_size=None, max_length=None):
        """Compute the context and the state before the first step.

        Args:
            inputs: the context: a dict from input name to tensor, or the tensor alone where there
                is one context input; `None` where there is none.
            batch_size: B; needed only where there is no context to tell it.
            max_length: the largest number of target steps.

        Returns:
            A nest of tensors: `context`, what every step reads, and `layers`, one state for each
            layer call.

        Raises:
            ValueError: if a context input is missing or unknown, or the batch size is.
        """
        inputs = self.context(inputs)
        if batch_size is None:
            if not inputs:
                raise ValueError(
                    "`batch_size` must be given: the model has no context input that would tell it."
                )
            batch_size = ops.shape(next(iter(inputs.values())))[0]
        return self._start(self.graph.run_context(inputs), batch_size, max_length)

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
        states = {}
        for node in self.graph.target_nodes:
            if node.kind == "model":
                states[node.name] = self._inner[node.name].start(values, batch_size, max_length)
            elif node.kind == "sequence":
                context = {}
                for argument in node.context_arguments:
                    symbolic = node.bound[argument]
                    context[argument] = keras.tree.map_structure(
                        lambda t: values[id(t)] if isinstance(t, keras.KerasTensor) else t, symbolic
                    )
                states[node.name] = node.operation.initial_state(batch_size, max_length, **context)
        context = {name: values[id(tensor)] for name, tensor in self._context.items()}
        return {"context": context, "layers": states}

    def prefill(self, x, state, mask=None):
        """Run the model on the first T target steps, or the next T, at once.

        Args:
            x: (B, T) token ids, or (B, T, D) floats, as the target input takes them.
            state: what `initial_state`, `prefill` or `step` gave.
            mask: optional (B, T) boolean, False where a step is to leave the state as it is.

        Returns:
            `(outputs, state)`; outputs have the model's structure, T time steps each.
        """
        dtype = self.graph.inputs[self.target].dtype
        x = set_mask(ops.cast(ops.convert_to_tensor(x), dtype), mask)
        values = {id(self.graph.inputs[self.target]): x}
        for name, tensor in self._context.items():
            values[id(tensor)] = state["context"][name]
        states = {}
        for node in self.graph.target_nodes:
            args, kwargs = fill_arguments(node.node, values)
            if node.kind == "sequence":
                y, states[node.name] = self._step_layer(node, args, kwargs, state)
                record_first(node.node, y, values)
            elif node.kind == "model":
                y, states[node.name] = self._inner[node.name].step(
                    values, state["layers"][node.name]
                )
                record(node.node, y, values)
            else:
                record(node.node, node.operation(*args, **kwargs), values)
        outputs = [values.get(id(t)) for t in self.graph.outputs]
        if any(value is None for value in outputs):
            raise ValueError(
                "An output of the model needs the final state of a layer on the target's way, "
                "which is not known step by step. Step the model without that output."
            )
        return self.graph.pack_outputs(outputs), {"context": state["context"], "layers": states}

    def step(self, x, state, mask=None):
        """Run the model on one target step.

        Args:
            x: (B, 1) token ids, or (B, 1, D) floats.
            state: what `initial_state`, `prefill` or `step` gave.
            mask: optional (B, 1) boolean, False where the step is to leave the state as it is.

        Returns:
            `(outputs, state)`; outputs have the model's structure, one time step each.
        """
        return self.prefill(x, state, mask)

    def _step_layer(self, node, args, kwargs, state):
        bound = node.bind(args, kwargs)
        target = bound.pop(node.target_argument)
        own = {"training", "initial_state", "return_state", *node.context_arguments}
        extra = {name: value for name, value in bound.items() if name not in own}
        if extra.get("mask") is None:
            extra["mask"] = get_mask(target)
        *y, new_state = node.operation.step(target, state["layers"][node.name], **extra)
        if node.operation.supports_masking and get_mask(y[0]) is None:
            set_mask(y[0], extra["mask"])
        return y, new_state

    def check(self, inputs=None, batch_size=2, length=6, atol=1e-4):
        """Compare stepping with calling on random targets: the law, on this very model.

        Args:
            inputs: the context, as for `initial_state`; random if `None`.
            batch_size: B of the random inputs.
            length: T, target steps to compare; the first third is prefilled.
            atol: largest absolute difference that is let pass.

        Returns:
            The largest difference.

        Raises:
            ValueError: if stepping and calling differ by more than `atol`.
        """
        rng = np.random.default_rng(0)
        if inputs is None:
            inputs = {name: self._random(name, batch_size, 5, rng) for name in self.context_inputs}
        inputs = self.context(inputs)
        if inputs:
            batch_size = int(ops.shape(next(iter(inputs.values())))[0])
        x = self._random(self.target, batch_size, length, rng)
        everything = [inputs.get(name, x) for name in self.graph.input_names]
        whole = keras.tree.flatten(_call(self.model, everything))
        state = self.initial_state(inputs, batch_size=batch_size, max_length=length)
        first = max(1, length // 3)
        parts, state = self.prefill(x[:, :first], state)
        steps = [keras.tree.flatten(parts)]
        for t in range(first, length):
            y, state = self.step(x[:, t : t + 1], state)
            steps.append(keras.tree.flatten(y))
        largest = 0.0
        for i, expected in enumerate(whole):
            got = np.concatenate([ops.convert_to_numpy(part[i]) for part in steps], axis=1)
            expected = ops.convert_to_numpy(expected)
            largest = max(largest, float(np.max(np.abs(got - expected), initial=0.0)))
        if not largest <= atol:
            raise ValueError(
                f"Model `{self.model.name}` gives other numbers step by step than at once: they "
                f"differ by {largest:.3g} (atol={atol:g}). A layer on the target's way is not "
                "causal or does not keep the contract; check each with "
                "keras_seq.testing.check_sequence_layer."
            )
        return largest

    def _random(self, name, batch_size, length, rng):
        """Random values for an input; of ids, 0 too, which may mean a masked step."""
        symbolic = self.graph.inputs[name]
        shape = [batch_size, *(length if d is None else d for d in symbolic.shape[1:])]
        if not keras.backend.is_int_dtype(symbolic.dtype):
            return rng.normal(size=shape).astype(symbolic.dtype)
        ids = rng.integers(0, vocabulary_size(self.model, name) or 4, size=shape)
        ids[:, 0] = np.maximum(ids[:, 0], 1)
        return ids.astype(symbolic.dtype)


class _InnerModel:
    """A functional model inside the model: a stepper of its own, fed from the outer values."""

    def __init__(self, node, depends):
        self.node = node.node
        inner = functional_of(node.operation)
        args, kwargs = self.node.arguments.args, self.node.arguments.kwargs
        # Keras may have put the mask that travels with the input among the arguments.
        inputs = args[0] if args else kwargs["inputs"]
        flat = keras.tree.flatten(inputs)
        self.arguments = dict(zip(input_names(inner), flat, strict=True))
        targets = [name for name, t in self.arguments.items() if id(t) in depends]
        if len(targets) != 1:
            raise ValueError(
                f"The model `{node.operation.name}` inside the model gets the target sequence on "
                f"{len(targets)} of its inputs ({targets}); stepping can follow one."
            )
        self.stepper = Stepper(node.operation, target=targets[0])

    def start(self, values, batch_size, max_length):
        inputs = {n: values[id(self.arguments[n])] for n in self.stepper.context_inputs}
        return self.stepper.initial_state(inputs, batch_size, max_length)

    def step(self, values, state):
        x = values[id(self.arguments[self.stepper.target])]
        return self.stepper.prefill(x, state, mask=get_mask(x))


def record_first(node, outputs, values):
    """Record the outputs that a step has; final states among a node's outputs stay unknown."""
    for tensor, value in zip(node.outputs, outputs, strict=False):
        values[id(tensor)] = value


def _call(model, inputs):
    structure = functional_of(model)._inputs_struct
    inputs = [ops.convert_to_tensor(x) for x in inputs]
    return model(keras.tree.pack_sequence_as(structure, inputs), training=False)
