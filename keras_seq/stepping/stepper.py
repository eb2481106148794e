"""`Stepper`: any causal functional model, one time step at a time."""

import keras
from keras import ops

from keras_seq.layers._keras_private import get_mask, set_mask
from keras_seq.layers.sequence_layer import marks_positions
from keras_seq.stepping._keras_private import fill_arguments
from keras_seq.stepping._target_graph import TargetGraph, record
from keras_seq.stepping.pointwise import is_foreign
from keras_seq.stepping.self_check import check


class Stepper:
    r"""Runs a functional model step by step, with the state that its layers need.

    A causal model computes `y_t = f(x_1, ..., x_t, context)`. The stepper walks the model's graph:
    what does not depend on the target input (the encoder) is computed once; a layer that keeps the
    contract of `keras_seq.layers.SequenceLayer` is stepped with its own slot of the state; a Keras
    layer or op that acts on each time step alone is simply called on the step. KV caches, recurrent
    states and positions follow from the graph, and the model's author writes nothing.

    Functional models inside the model are walked too, and a layer called twice has two slots.
    Outputs that do not depend on the target are computed once and given at every step.

    Args:
        model: functional (or built Sequential) `keras.Model`.
        target: name of the input that holds the target sequence, or a list of names where several
            inputs come step by step. By default the only input, or the one named `"target"`; the
            other inputs are the context.
        self_check: whether to compare stepping with calling right away, on small random inputs (see
            `check`). `None`: if layers on the target's way are neither Keras' nor keras_seq's own.

    Raises:
        TypeError: if `model` has no graph to walk.
        ValueError: if the target input is unclear, a layer on the way from it cannot be stepped
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

    def __init__(self, model, target=None, self_check=None):
        self.graph = TargetGraph(model, target)
        self.model = model
        self.target = self.graph.target
        self.context_inputs = self.graph.context_inputs
        self._context = self.graph.needed_context()
        self._inner = {}
        for node in self.graph.target_nodes:
            if node.kind == "model":
                self._inner[node.name] = _InnerModel(node)
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
        if self_check is None:
            self_check = type(self) is Stepper and self._has_foreign_layers()
        if self_check:
            self._check_itself()

    def get_initial_state(self, inputs=None, batch_size=None, max_length=None):
        """Compute the context and the state before the first step.

        Args:
            inputs: the context: a dict from input name to tensor, or the tensor alone where there
                is one context input; `None` where there is none.
            batch_size: B; needed only where there is no context to tell it.
            max_length: the largest number of target steps. More are an error outside compiled
                functions; inside one the position is not known while it is traced, and steps past
                the end give wrong numbers without a word, so leave enough room.

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
                given = context.pop("initial_state", None)
                if given is None:
                    states[node.name] = node.operation.get_initial_state(
                        batch_size, max_length, **context
                    )
                else:
                    states[node.name] = node.operation._standardize_state(given, batch_size)
        context = {name: values[id(tensor)] for name, tensor in self._context.items()}
        # A mask that travels with a tensor would be lost at the door of a compiled function.
        masks = {f"{name}_mask": get_mask(value) for name, value in context.items()}
        context.update({name: mask for name, mask in masks.items() if mask is not None})
        return {"context": context, "layers": states}

    def prefill(self, x, state, mask=None):
        """Run the model on the first T target steps, or the next T, at once.

        Args:
            x: (B, T) token ids, or (B, T, D) floats, as the target input takes them; a dict by name
                where there are several target inputs.
            state: what `get_initial_state`, `prefill` or `step` gave.
            mask: optional (B, T) boolean, False where a step is to leave the state as it is.

        Returns:
            `(outputs, state)`; outputs have the model's structure, T time steps each.

        Raises:
            ValueError: if `state` is not of this kind, or `mask` not of this shape.
        """
        if not isinstance(state, dict) or not {"context", "layers"} <= set(state):
            got = sorted(state) if isinstance(state, dict) else type(state).__name__
            raise ValueError(
                "`state` must be what `get_initial_state(...)`, `prefill` or `step` of this "
                f"Stepper gave, a dict with 'context' and 'layers'. Received: {got}"
            )
        x = self._named_targets(x)
        if mask is not None:
            mask = ops.cast(ops.convert_to_tensor(mask), "bool")
            for name, value in x.items():
                if not marks_positions(mask, value):
                    raise ValueError(
                        f"`mask` must have shape (B, T) = {tuple(value.shape[:2])}, one mark for "
                        f"each step of `{name}`. Received: shape {tuple(mask.shape)}"
                    )
        return self._run(x, state, mask=mask)

    def _run(self, x, state, seen=None, mask=None):
        """`(outputs, state)` after the next steps; `seen` and `mask` as for `_walk`."""
        values = {id(self.graph.inputs[name]): value for name, value in x.items()}
        for name, tensor in self._context.items():
            value, own = (state["context"].get(key) for key in (name, f"{name}_mask"))
            values[id(tensor)] = set_mask(value, own)
        states = self._walk(values, state, seen, mask)
        return self._outputs(values), {"context": state["context"], "layers": states}

    def _call(self, inputs, seen=None):
        """Outputs of the whole sequence; `inputs` by name, `seen` as for `_walk`."""
        values = self.graph.run_context({name: inputs[name] for name in self.context_inputs})
        for name in self.graph.targets:
            values[id(self.graph.inputs[name])] = inputs[name]
        self._walk(values, None, seen)
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

    def _walk(self, values, state, seen=None, mask=None):
        """Run all target nodes: the states after them.

        Args:
            values: dict from id of the symbolic tensor to its value, which is filled.
            state: the state before, or `None` to call the layers on the whole sequence.
            seen: list that gets `(stepper, node, flat outputs)` of every node, in order, those of
                models inside the model before the model itself.
            mask: (B, T) boolean, False where no layer may change its state, whatever masks travel.
        """
        states = {}
        for node in self.graph.target_nodes:
            args, kwargs = fill_arguments(node.node, values)
            name = node.name
            if node.kind == "model":
                inner = None if state is None else state["layers"][name]
                y, states[name] = self._inner[name].step(values, inner, seen, mask)
            elif node.kind == "sequence" and state is not None:
                y, states[name] = self._step_layer(node, args, kwargs, state, mask)
            else:
                y = node.operation(*args, **kwargs)
            # A step does not give the final states among the node's outputs.
            record(node.node, y, values, strict=node.kind != "sequence")
            if seen is not None:
                seen.append((self, node, keras.tree.flatten(y)))
        return states

    def _outputs(self, values):
        return self.graph.pack_outputs([values[id(t)] for t in self.graph.outputs])

    def step(self, x, state, mask=None):
        """Run the model on one target step.

        Args:
            x: (B, 1) token ids, or (B, 1, D) floats.
            state: what `get_initial_state`, `prefill` or `step` gave.
            mask: optional (B, 1) boolean, False where the step is to leave the state as it is.

        Returns:
            `(outputs, state)`; outputs have the model's structure, one time step each.
        """
        return self.prefill(x, state, mask)

    def _step_layer(self, node, args, kwargs, state, mask):
        bound = node.bind(args, kwargs)
        target = bound.pop(node.target_argument)
        own = {"training", "initial_state", "return_state", *node.context_arguments}
        extra = {name: value for name, value in bound.items() if name not in own}
        if extra.get("mask") is None:
            extra["mask"] = get_mask(target)
        if mask is not None:  # it does not travel with the target, for an embedding would drop it
            own = extra["mask"]
            extra["mask"] = mask if own is None else ops.logical_and(own, mask)
        *y, new_state = node.operation.step(target, state["layers"][node.name], **extra)
        if node.operation.supports_masking and get_mask(y[0]) is None:
            set_mask(y[0], extra["mask"])
        return y, new_state

    def check(self, inputs=None, batch_size=2, length=None, atol=None):
        """Compare stepping with calling on random targets: the law, on this very model.

        It leaves weights, states and seeds of the model as they are.

        Args:
            inputs: the context, as for `get_initial_state`; random if `None`.
            batch_size: B of the random inputs, where the model does not fix it.
            length: T, target steps to compare; the first third is prefilled. `None`: 6, or what the
                model bears.
            atol: largest difference that is let pass, relative to outputs beyond one in size.
                `None`: 1e-4, or 32 roundings of the dtype for models that compute in 16 bit.

        Returns:
            The largest difference.

        Raises:
            ValueError: if stepping and calling differ by more than `atol`; it names the first
                layer whose output differs.
        """
        return check(self, inputs, batch_size, length, atol)

    def _has_foreign_layers(self):
        """Whether a layer on the target's way is neither Keras' nor keras_seq's own."""
        return any(
            self._inner[node.name].stepper._has_foreign_layers()
            if node.kind == "model"
            else is_foreign(node.node.operation)
            for node in self.graph.target_nodes
        )

    def _check_itself(self):
        try:
            self.check()
        except Exception as error:
            raise ValueError(
                f"{error} (Found by the self-check of Stepper on random inputs; `self_check=False` "
                "turns it off.)"
            ) from error


class _InnerModel:
    """A functional model inside the model: a stepper of its own, fed from the outer values."""

    def __init__(self, node):
        self.arguments = node.inner
        self.stepper = Stepper(node.operation, target=node.inner_targets, self_check=False)

    def start(self, values, batch_size, max_length):
        inputs = {n: values[id(self.arguments[n])] for n in self.stepper.context_inputs}
        return self.stepper.get_initial_state(inputs, batch_size, max_length)

    def step(self, values, state, seen=None, mask=None):
        """`(outputs, state)`; of the whole sequence if `state` is `None`."""
        stepper = self.stepper
        names = stepper.graph.input_names if state is None else stepper.graph.targets
        inputs = {name: values[id(self.arguments[name])] for name in names}
        if state is None:
            return stepper._call(inputs, seen), None
        return stepper._run(stepper._named_targets(inputs), state, seen, mask)
