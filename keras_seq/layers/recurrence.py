"""The recurrence engine: the one loop over time that all recurrent layers share.

What is here once: hoisting (the layer hands over x W + b of all time steps, one matrix product),
masks, direction, the loop of each backend. A cell knows none of it. Explicit back-propagation
through time belongs here too, as the gradient of `recur`.
"""

import keras
from keras import ops


def recur(cell, x, kernel, bias, state, mask=None, reverse=False, differentiable=True):
    """Run a gated cell over time.

    Args:
        cell: a `GatedCell`.
        x: (B, T, num_gates * U), the projected inputs of all time steps.
        kernel: (U, num_gates * U), the recurrent kernel.
        bias: (num_gates * U,), added to the recurrent product, or `None`.
        state: list of (B, U) tensors, the state before the first step.
        mask: (B, T) boolean or `None`. Where False the state stays and the output repeats.
        reverse: run from the last time step to the first; outputs are in the order of running.
        differentiable: whether gradients may be asked for. Without them the TensorFlow loop writes
            its outputs in place, which is quicker and which LiteRT takes with any batch and time.

    Returns:
        `(outputs, state)`: (B, T, U) outputs h and the state after the last step.
    """

    def turn(x_t, mask_t, state):
        h = ops.matmul(state[0], kernel)
        new = cell.pointwise(x_t, h if bias is None else h + bias, state)
        if mask_t is not None:
            new = [ops.where(mask_t, n, s) for n, s in zip(new, state, strict=True)]
        return new

    if x.shape[1] == 1:  # one step of a stepped sequence needs no loop
        state = turn(x[:, 0], mask, state)
        return ops.expand_dims(state[0], 1), state

    x = ops.transpose(x, (1, 0, 2))  # (T, B, num_gates * U), so that a step is contiguous
    if mask is not None:
        mask = ops.expand_dims(ops.transpose(mask), -1)  # (T, B, 1)
    if reverse:
        x = ops.flip(x, axis=0)
        mask = None if mask is None else ops.flip(mask, axis=0)
    if keras.backend.backend() == "tensorflow":
        from keras_seq.layers.recurrence_tensorflow import arrays_loop, in_place_loop

        outputs, state = (arrays_loop if differentiable else in_place_loop)(turn, x, mask, state)
    else:
        outputs, state = _scan(turn, x, mask, state)
    return ops.transpose(outputs, (1, 0, 2)), state


def _scan(turn, x, mask, state):
    def body(state, x_and_mask):
        x_t, mask_t = x_and_mask if mask is not None else (x_and_mask, None)
        state = turn(x_t, mask_t, state)
        return state, state[0]

    state, outputs = ops.scan(body, state, x if mask is None else (x, mask))
    return outputs, state
