"""Kernels as matrices, made once before a loop of steps and not at each step.

The projections of attention have kernels (D, H, K), as in Keras, and multiply by (D, H K). XLA on a
CPU fuses a reshape next to the product of a single row into the product, which then
runs element by element: three times the time of a whole decoding step (measured, 6 + 6 blocks of
512). It keeps its quick products where the matrix comes from outside the loop.
"""

import contextlib
import contextvars

from keras import ops

from keras_seq.layers._scoped import scoped

_hoisted = contextvars.ContextVar("hoisted_kernels", default=None)


@contextlib.contextmanager
def hoisted_kernels():
    """Layers whose `get_initial_state` is asked for inside have their matrices made there."""
    with scoped(_hoisted, {}):
        yield


def hoist(kernel, shape, dtype):
    """Make the matrix of `kernel` here, if inside `hoisted_kernels`, for all later `matrix`."""
    made = _hoisted.get()
    if made is not None and id(kernel) not in made:
        made[id(kernel)] = ops.reshape(ops.cast(kernel, dtype), shape)


def matrix(kernel, shape, dtype):
    """`kernel` in `dtype`, reshaped to the matrix `shape`, or what `hoist` has made of it."""
    made = _hoisted.get() or {}
    if id(kernel) in made:
        return made[id(kernel)]
    return ops.reshape(ops.cast(kernel, dtype), shape)
