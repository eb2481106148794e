"""Single steps as compiled functions, for those who step from Python."""

import keras

from keras_seq.layers._keras_private import get_mask
from keras_seq.layers._room import check_room, recorded_rooms
from keras_seq.stepping._compiled import compiled
from keras_seq.stepping._keras_private import in_stateless_scope

_LARGEST = 32  # functions that are kept, one for each set of shapes


class CompiledStep:
    """`Stepper.prefill` compiled, for each set of shapes once.

    What a layer refuses only when it knows its position, a step beyond the room of its state, is
    refused here.

    Args:
        stepper: the `Stepper`.
        jit_compile: `"auto"` for a plain graph on TensorFlow, True for XLA there.
    """

    def __init__(self, stepper, jit_compile):
        self.stepper = stepper
        self.uses_xla = jit_compile is True or keras.backend.backend() == "jax"
        self._functions = {}

    def clear(self):
        """Forget the functions, whose model has changed."""
        self._functions.clear()

    def __call__(self, x, state, mask):
        """`(outputs, state)`, see `Stepper.step`.

        Args:
            x: dict of tensors by name.
            state: nest of tensors.
            mask: (B, 1) boolean tensor or `None`.
        """
        given = (x, state, mask)
        flat = [value for value in keras.tree.flatten(given) if value is not None]
        key = (mask is None, *map(_description, flat))
        if key not in self._functions:
            if len(self._functions) == _LARGEST:
                self._functions.pop(next(iter(self._functions)))
            self._functions[key] = self._make()
        function, rooms = self._functions[key]
        results = function(*given)
        for i, *room in rooms:  # known when the function has been traced
            check_room(flat[i], *room)
        return results

    def _make(self):
        """The compiled function, and the rooms to check: `(index of the position, ...)`."""
        rooms = []

        def step(x, state, mask):
            with recorded_rooms() as recorded:
                results = self.stepper.prefill(x, state, mask)
            flat = [v for v in keras.tree.flatten((x, state, mask)) if v is not None]
            places = {id(value): i for i, value in enumerate(flat)}
            rooms[:] = [(places[id(p)], *rest) for p, *rest in recorded if id(p) in places]
            return results

        return compiled(step, self.stepper.model, self.uses_xla), rooms


def _description(value):
    """Shape and dtype of a tensor, what a function is compiled for."""
    return tuple(value.shape), str(value.dtype)


def can_compile(x, state, mask):
    """Whether a step of these values may be compiled: they are known, and carry no mask."""
    flat = [value for value in keras.tree.flatten((x, state, mask)) if value is not None]
    if any(isinstance(value, keras.KerasTensor) for value in flat):
        return False
    if any(value.shape[1] != 1 or get_mask(value) is not None for value in x.values()):
        return False
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.executing_eagerly() and all(tf.is_tensor(value) for value in flat)
    if backend == "jax":
        import jax

        known = all(
            isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer)
            for value in flat
        )
        return known and not in_stateless_scope()
    return False
