"""The two loops over time on TensorFlow: one to differentiate, one to run and to export."""

import tensorflow as tf
from keras import ops


def arrays_loop(turn, x, mask, state):
    """Loop whose outputs go to a `TensorArray`, which TensorFlow differentiates in linear memory.

    Args:
        turn: `(x_t, mask_t, state) -> state`.
        x: (T, B, G); mask: (T, B, 1) or `None`; state: list of (B, U).

    Returns:
        `(outputs, state)` with outputs of shape (T, B, U).
    """
    time = _length(x)
    x_array = tf.TensorArray(x.dtype, time, element_shape=x.shape[1:]).unstack(x)
    mask_array = None
    if mask is not None:
        mask_array = tf.TensorArray(tf.bool, time, element_shape=mask.shape[1:]).unstack(mask)
    outputs = tf.TensorArray(state[0].dtype, time, element_shape=state[0].shape)

    def body(t, state, outputs):
        state = turn(x_array.read(t), None if mask is None else mask_array.read(t), state)
        return t + 1, state, outputs.write(t, state[0])

    _, state, outputs = _while(time, body, state, outputs)
    return _with_shape(outputs.stack(), x, state), state


def in_place_loop(turn, x, mask, state):
    """The same loop with one output buffer that is updated in place: no list operations.

    LiteRT runs it with built-in operators whatever the batch and the number of time steps.
    """
    time = _length(x)
    batch = tf.shape(state[0])[0] if state[0].shape[0] is None else state[0].shape[0]
    outputs = tf.zeros(tf.stack([time, batch, state[0].shape[1]]), state[0].dtype)
    outputs = _with_shape(outputs, x, state)

    def body(t, state, outputs):
        state = turn(tf.gather(x, t), None if mask is None else tf.gather(mask, t), state)
        h = tf.expand_dims(state[0], 0)
        return t + 1, state, ops.slice_update(outputs, tf.stack([t, 0, 0]), h)

    _, state, outputs = _while(time, body, state, outputs)
    return outputs, state


def _while(time, body, state, outputs):
    return tf.while_loop(
        lambda t, *_: t < time,
        body,
        (tf.constant(0), list(state), outputs),
        maximum_iterations=time,  # XLA can differentiate only a loop with a known bound
    )


def _length(x):
    return tf.shape(x)[0] if x.shape[0] is None else x.shape[0]


def _with_shape(outputs, x, state):
    return tf.ensure_shape(outputs, (x.shape[0], *state[0].shape))
