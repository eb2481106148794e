"""The layer under test together with its inputs, and how two results are compared."""

import inspect

import keras
import numpy as np
from keras import ops


class InvariantViolated(AssertionError):
    """A layer violates an invariant. The message says which one, where and by how much."""


class Skip(Exception):
    """An invariant does not apply to a layer; the message says why."""


class Subject:
    """A layer, random inputs for it, and what the invariants need to do with the two.

    Args:
        layer: a `keras.layers.Layer`.
        input_shape: (B, T, D), or (B, T) for token ids.
        context_shape: (B, S, features) or `None`.
        vocabulary_size: V where the layer takes token ids, else `None`.
        atol: tolerance of a difference, for numbers of size one.
        seed: of everything random.
    """

    def __init__(self, layer, input_shape, context_shape, vocabulary_size, atol, seed):
        self.layer = layer
        self.atol = atol
        self.vocabulary_size = vocabulary_size
        self.rng = np.random.default_rng(seed)
        self.x = self.random_x(input_shape)
        self.context = None if context_shape is None else self.normal(context_shape)
        self.batch, self.time = input_shape[:2]
        self.takes_mask = "mask" in inspect.signature(layer.call).parameters
        self.takes_reset = "reset" in inspect.signature(layer.call).parameters
        self.takes_context_mask = (
            self.context is not None and "context_mask" in inspect.signature(layer.call).parameters
        )
        self.invariant = None
        self._compiled = {}

    def normal(self, shape, scale=1.0):
        return (scale * self.rng.normal(size=shape)).astype("float32")

    def random_x(self, shape, scale=1.0):
        """Random features, or random token ids; 0 is left out, it may stand for padding."""
        if self.vocabulary_size is None:
            return self.normal(shape, scale)
        return self.rng.integers(1, self.vocabulary_size, size=shape).astype("int32")

    # Masks

    def right_padding(self, length=None):
        """(B, T) boolean: each row is as long as it is, the first one whole."""
        length = length or self.time
        lengths = [max(1, length - row) for row in range(self.batch)]
        return np.arange(length)[None] < np.array(lengths)[:, None]

    def with_holes(self, length=None):
        """(B, T) boolean: masked steps in the middle, and at the start of every second row."""
        length = length or self.time
        t, row = np.arange(length)[None], np.arange(self.batch)[:, None]
        mask = (t + row) % 3 != 1
        mask[1::2, 0] = False
        mask[:, -1] = True  # no row is masked wholly; that has an invariant of its own
        return mask

    def masks(self):
        """Masks to try, by name; only `None` where the layer takes no mask."""
        masks = {"no mask": None}
        if self.takes_mask:
            masks["a right-padding mask"] = self.right_padding()
            masks["a mask with holes"] = self.with_holes()
        return masks

    # Calls

    def arguments(self, mask=None, context=None, context_mask=None, reset=None, rows=slice(None)):
        """Keyword arguments of a call on some rows; the subject's own context if none is given."""
        arguments = {}
        if mask is not None:
            arguments["mask"] = ops.convert_to_tensor(mask[rows])
        if reset is not None:
            arguments["reset"] = ops.convert_to_tensor(reset[rows])
        context = self.context if context is None else context
        if context is not None:
            arguments["context"] = ops.convert_to_tensor(context[rows])
        if context_mask is not None:
            arguments["context_mask"] = ops.convert_to_tensor(context_mask[rows])
        return arguments

    def call(self, x=None, layer=None, rows=slice(None), **arguments):
        """Outputs of the layer on some rows, as `flat` gives them."""
        x = self.x if x is None else x
        return self.flat(self._do("call", layer, x[rows], self.arguments(rows=rows, **arguments)))

    def flat(self, outputs):
        """Outputs as a flat list of float64 arrays, time steps in the input's order."""
        outputs = [to_numpy(y) for y in keras.tree.flatten(outputs)]
        if getattr(self.layer, "go_backwards", False):  # such a layer gives its last step first
            outputs = [np.flip(y, 1) if timed else y for y, timed in self.zip_timed(outputs)]
        return outputs

    def zip_timed(self, outputs):
        return zip(outputs, self.timed, strict=True)

    def get_initial_state(self, layer=None, context_mask=None):
        """The layer's state before the first step, with room for all T steps."""
        layer = layer or self.layer
        known = inspect.signature(layer.get_initial_state).parameters
        arguments = {
            name: value
            for name, value in self.arguments(context_mask=context_mask).items()
            if name in known
        }
        return layer.get_initial_state(self.batch, max_length=self.time, **arguments)

    def run(self, state, start, stop, mask=None, layer=None):
        """Call on steps `start` to `stop` from `state`: `(y, state)`."""
        arguments = {"initial_state": state}
        if mask is not None:
            arguments["mask"] = ops.convert_to_tensor(mask[:, start:stop])
        return self._do("run", layer, self.x[:, start:stop], arguments)

    def step(self, state, t, mask=None, layer=None):
        """Step `t` from `state`: `(y, state)`."""
        arguments = {"state": state}
        if mask is not None:
            arguments["mask"] = ops.convert_to_tensor(mask[:, t : t + 1])
        return self._do("step", layer, self.x[:, t : t + 1], arguments)

    def _do(self, member, layer, x, arguments):
        layer, x = layer or self.layer, ops.convert_to_tensor(x)
        if keras.backend.backend() != "jax":
            return _MEMBERS[member](layer, x, arguments)
        # Eagerly, JAX would compile a layer's loop over time anew at every call.
        key = (member, id(layer))
        if key not in self._compiled:
            self._compiled[key] = (layer, _compile_with_jax(layer, _MEMBERS[member]))
        return self._compiled[key][1]([v.value for v in layer.variables], x, arguments)

    def prepare(self):
        """Build the layer and find out which of its outputs have a time axis."""
        shapes = [[y.shape for y in keras.tree.flatten(self._plain(n))] for n in (self.time, 2)]
        self.timed = [
            len(a) > 2 and tuple(a[:2]) == (self.batch, self.time) and b[1] == 2
            for a, b in zip(*shapes, strict=True)
        ]

    def randomize(self):
        """Random weights everywhere, so that no fault hides behind a zero."""
        self._weights = self.layer.get_weights()
        for variable in self.layer.trainable_variables:
            variable.assign(variable + 0.2 * self.rng.normal(size=variable.shape))

    def restore(self):
        """Give the layer its own weights back."""
        self.layer.set_weights(self._weights)

    def _plain(self, length):
        return self.layer(ops.convert_to_tensor(self.x[:, :length]), **self.arguments())

    def rebuild(self, dtype=None):
        """A layer of the same configuration (and `dtype` policy) and with the same weights."""
        config = self.layer.get_config()
        if dtype is not None:
            config = {**config, "dtype": dtype}
        layer = type(self.layer).from_config(config)
        layer(ops.convert_to_tensor(self.x), **self.arguments())
        layer.set_weights(self.layer.get_weights())
        return layer

    def model(self, time, between=None):
        """A functional model around the layer; `between` is applied to each of its inputs."""
        ids = self.vocabulary_size is not None
        inputs = [keras.Input((time, *self.x.shape[2:]), dtype="int32" if ids else "float32")]
        if self.context is not None:
            inputs.append(keras.Input((time and self.context.shape[1], self.context.shape[2])))
        tensors = inputs if between is None else [between(tensor) for tensor in inputs]
        arguments = {} if self.context is None else {"context": tensors[1]}
        return keras.Model(inputs, self.layer(tensors[0], **arguments))

    # What an invariant needs

    def need_time(self):
        if not any(self.timed):
            raise Skip("it gives no output for each time step")

    def need_steps(self):
        for member in ("step", "get_initial_state"):
            if not callable(getattr(self.layer, member, None)):
                raise Skip(f"it has no `{member}`")
        if getattr(self.layer, "causal", True) is False:
            raise Skip("it is not causal, so it cannot be stepped")
        self.need_time()

    # Verdicts

    def violated(self, what):
        layer = f"`{self.layer.name}` ({type(self.layer).__name__})"
        raise InvariantViolated(f"{layer} violates the invariant {self.invariant!r}: {what}")

    def compare(self, got, expected, what, where=None, atol=None):
        """Raise `InvariantViolated` unless two arrays agree.

        Args:
            got, expected: arrays (or tensors) of one shape.
            what: what is compared, for the message.
            where: (B, T) boolean; only there they are compared.
            atol: tolerance of a difference; the subject's own if `None`.
        """
        got, expected = to_numpy(got), to_numpy(expected)
        if got.shape != expected.shape:
            self.violated(f"{what}: shape {got.shape} instead of {expected.shape}")
        if got.size == 0:
            return
        # Rounding grows with the numbers, so beyond one the tolerance does so, too.
        kept = np.ones(got.shape[:2], bool) if where is None else where
        kept = np.broadcast_to(kept.reshape(kept.shape + (1,) * (got.ndim - kept.ndim)), got.shape)
        largest = np.max(np.abs(expected), where=kept & np.isfinite(expected), initial=1.0)
        tolerance = (self.atol if atol is None else atol) * largest
        difference = np.where(kept, np.abs(got - expected), 0.0)
        # NaN and infinity are wrong everywhere, also where both have them.
        difference = np.where(np.isnan(difference), np.inf, difference)
        if not np.all(difference <= tolerance):
            at = tuple(int(i) for i in np.unravel_index(np.argmax(difference), got.shape))
            self.violated(
                f"{what}: largest difference {difference[at]:.3g} at {at} (tolerance "
                f"{tolerance:.3g}; got {got[at]:.6g}, expected {expected[at]:.6g})"
            )

    def compare_outputs(self, got, expected, what, where=None, atol=None):
        """`compare` of flat outputs; those with a time axis only where `where` is True."""
        for i, (y, timed) in enumerate(self.zip_timed(got)):
            output = f"output {i}, " if len(got) > 1 else ""
            kept = where if timed else None
            self.compare(y, expected[i], output + what, where=kept, atol=atol)

    def finite(self, outputs, what):
        """Raise `InvariantViolated` if a number is NaN or infinite."""
        for y in keras.tree.flatten(outputs):
            y = to_numpy(y)
            if not np.all(np.isfinite(y)):
                at = tuple(int(i) for i in np.argwhere(~np.isfinite(y))[0])
                self.violated(f"{what}: {y[at]} at {at}")


_MEMBERS = {
    "call": lambda layer, x, arguments: layer(x, **arguments),
    "run": lambda layer, x, arguments: layer(x, return_state=True, **arguments),
    "step": lambda layer, x, arguments: layer.step(x, **arguments),
}


def _compile_with_jax(layer, function):
    import jax

    def stateless(values, x, arguments):
        with keras.StatelessScope(list(zip(layer.variables, values, strict=True))):
            return function(layer, x, arguments)

    return jax.jit(stateless)


def to_numpy(x):
    """A tensor as a float64 array, whatever its type."""
    return np.asarray(ops.convert_to_numpy(x)).astype("float64")
