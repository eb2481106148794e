"""The forms that a recurrence can take in a LiteRT file, and which one a layer gets."""

import uuid

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_seq.layers.recurrent._engine import Form, recurrence_form
from keras_seq.layers.recurrent.gated_cell import GatedCell
from keras_seq.layers.recurrent.lstm import LSTMCell

# LiteRT packs a kernel anew for each product of the graph. Copies of it that together leave a
# core's cache cost more than the loop's iterations that they save (measured).
_LARGEST_COPIES, _MOST_STEPS = 2**20, 8


def recurrences_in_form(form, weight_bytes=4):
    """Recurrent layers that are traced inside this context take the form.

    Args:
        form: "fused" (an LSTM that allows it; the loop elsewhere), "loop", an int (time steps in an
            iteration of the loop), or `None` to choose for each layer by its size.
        weight_bytes: of a number in a kernel, 4 for float32, 1 for int8.
    """
    if form == "fused":
        return recurrence_form(lambda layer: Form(fused=fused_lstm))
    if form == "loop":
        return recurrence_form(lambda layer: Form())
    if form is not None:
        return recurrence_form(lambda layer: Form(steps_per_iteration=form))
    return recurrence_form(
        lambda layer: Form(steps_per_iteration=best_steps(layer.cell, weight_bytes))
    )


def best_steps(cell, weight_bytes):
    """Time steps in an iteration: as many as the cache has room for copies of the kernels.

    The fused LSTM is not among the choices, because the loop was faster at each size measured
    (`benchmarks/litert_recurrent.py`): there, x W of all time steps is one matrix product.
    """
    if isinstance(cell, GatedCell):
        kernels = [cell.recurrent_kernel]
    else:
        kernels = [w for w in getattr(cell, "weights", []) if len(w.shape) > 1]
    size = weight_bytes * sum(int(np.prod(kernel.shape)) for kernel in kernels)
    return min(_MOST_STEPS, max(1, _LARGEST_COPIES // max(1, size)))


def is_fusable(cell, x):
    """Whether the fused LSTM computes the cell."""
    return (
        type(cell) is LSTMCell
        and x.shape[0] is not None  # the operator's state has a fixed batch
        and cell.activation is keras.activations.tanh
        and cell.recurrent_activation is keras.activations.sigmoid
        and x.dtype == tf.float32
    )


def fused_lstm(cell, x, reverse):
    """Outputs (B, T, U) of a run as a function that the converter takes for its fused LSTM.

    `None` where the operator does not compute the cell; see `Form.fused`.

    The operator keeps its state from one run of a file to the next, and a client who does not know
    would get a second sequence that goes on where the first one ended. So each sequence begins with
    a step that empties the state, its output left out: an additional feature, which is zero in all
    other steps, shuts the input, forget and output gates.
    """
    if not is_fusable(cell, x):
        return None
    if reverse:
        x = tf.reverse(x, [1])
    with tf.init_scope():  # outside the graph that is traced; variables crash the converter
        kernel = ops.convert_to_numpy(cell.kernel)
        recurrent_kernel = ops.convert_to_numpy(cell.recurrent_kernel)
        bias = np.zeros(4 * cell.units) if cell.bias is None else ops.convert_to_numpy(cell.bias)
    # No larger than the other weights, which share its scale when they become int8.
    weight = max(np.abs(kernel).max(), 1e-3)
    shut = np.repeat([-weight, -weight, 0.0, -weight], cell.units)[None]
    first = np.zeros((x.shape[0], 1, x.shape[2] + 1))
    first[:, :, -1] = 1000 / weight  # sigmoid(-1000) is zero, whatever h and the bias are
    x = tf.concat([tf.constant(first, x.dtype), tf.pad(x, [[0, 0], [0, 0], [0, 1]])], axis=1)
    zeros = tf.zeros((x.shape[0], cell.units), x.dtype)
    weights = [np.concatenate([kernel, shut]), recurrent_kernel, bias]
    weights = [tf.constant(w, x.dtype) for w in weights]
    outputs = _standard_lstm()(x, zeros, zeros, *weights)[1]
    return outputs[:, 1:]


def _standard_lstm():
    """An LSTM that the converter knows by its name (`lstm_` and something unique)."""

    def standard_lstm(inputs, h, c, kernel, recurrent_kernel, bias):
        time = tf.shape(inputs)[1]
        steps = tf.transpose(inputs, [1, 0, 2])
        outputs = tf.TensorArray(inputs.dtype, time, element_shape=h.shape)

        def body(t, outputs, h, c):
            z = tf.gather(steps, t) @ kernel + h @ recurrent_kernel + bias
            i, f, g, o = tf.split(z, 4, axis=1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            h = tf.sigmoid(o) * tf.tanh(c)
            return t + 1, outputs.write(t, h), h, c

        loop_vars = (tf.constant(0), outputs, h, c)
        _, outputs, h, c = tf.while_loop(lambda t, *_: t < time, body, loop_vars)
        outputs = tf.transpose(outputs.stack(), [1, 0, 2])
        return outputs[:, -1], outputs, h, c, tf.constant(0.0)

    return tf.function(
        standard_lstm,
        autograph=False,
        experimental_attributes={
            "api_implements": f"lstm_{uuid.uuid4()}",
            "api_preferred_device": "CPU",
            "time_major": False,
            "go_backwards": False,
        },
    )
