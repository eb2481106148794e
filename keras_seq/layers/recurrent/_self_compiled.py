"""Loops over time that compile themselves with XLA inside a plain TensorFlow graph.

Keras compiles a model with XLA by itself only where there is an accelerator. So on a CPU, plain
`fit`, `evaluate` and `predict` run a TensorFlow graph, in which a loop over time pays for each
operation of each step. Here the loop alone becomes an XLA function in that graph.

XLA compiles anew for each set of shapes. A length that the graph does not know is therefore rounded
up to a power of two; the loop still ends after the steps that there are, and costs no more of them.
"""

import platform

import keras
import tensorflow as tf
from tensorflow.python.eager import record
from tensorflow.python.framework import config
from tensorflow.python.ops import control_flow_util

from keras_seq.layers._keras_private import is_graph_of_trainer
from keras_seq.layers.recurrent._plain_loops import are_loops_plain

_SHORTEST = 32  # steps of room: those to spare cost little, and each size is a compilation


def in_xla():
    """Whether what is traced now is to be compiled by XLA."""
    return control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def compiles_itself():
    """Whether a loop that is traced now is made an XLA function of its own.

    It is in what Keras makes of a model to train, evaluate or predict, and wherever gradients are
    recorded. Not where operations run one by one (`run_eagerly`), nor inside XLA, nor in any other
    graph, which may be on its way into a file: LiteRT takes no XLA function, and TensorFlow Serving
    none by default.
    """
    if tf.executing_eagerly() or are_loops_plain() or in_xla() or not _has_xla():
        return False
    return record.could_possibly_record() or is_graph_of_trainer(tf.compat.v1.get_default_graph())


def _has_xla():
    """Whether TensorFlow has XLA here, for what Keras, too, compiles with it."""
    on_metal = platform.system() == "Darwin" and bool(tf.config.list_physical_devices("GPU"))
    return not on_metal and not config.is_op_determinism_enabled()


def self_compiled(loop, carry, xs):
    """Run a loop over time as an XLA function.

    Args:
        loop: `(carry, xs, time) -> (carry, arrays, ...)`, over `time` steps, an int scalar tensor,
            or over all that the arrays (T, ...) have if it is `None`.
        carry, xs: see `_scan.scan`.

    Returns:
        What `loop` gives. Its gradient, which only a gradient of the gradient asks for, is that of
        the plain loop, run again.
    """
    carry, xs = keras.tree.map_structure(tf.convert_to_tensor, (carry, xs))  # states in variables
    known = _first(xs).shape[0] is not None

    def with_room(xs):
        return (xs, None) if known else _with_room(xs)

    compiled = tf.function(loop, jit_compile=True, autograph=False)
    compiled = compiled.get_concrete_function(carry, *with_room(xs))

    def run(carry, xs):
        xs, time = with_room(xs)
        carry, *arrays = compiled(carry, xs, time)
        if known:
            return carry, *arrays
        return carry, *keras.tree.map_structure(lambda array: array[:time], arrays)

    if not record.could_possibly_record():
        return run(carry, xs)

    # What a step reads from outside the loop, such as the recurrent kernel.
    captured = [t for t in compiled.captured_inputs if t.dtype.is_floating]
    given = (carry, xs)
    flat = keras.tree.flatten(given)
    structure = None

    @tf.custom_gradient
    def forward(*values):
        nonlocal structure
        with record.stop_recording():
            structure = run(*keras.tree.pack_sequence_as(given, values[: len(flat)]))

        def gradient(*upstream):
            sources = [*flat, *captured]
            with tf.GradientTape() as tape:
                tape.watch(sources)
                again = loop(*given, None)
            return tape.gradient(keras.tree.flatten(again), sources, upstream)

        return tuple(keras.tree.flatten(structure)), gradient

    results = forward(*flat, *captured)
    return keras.tree.pack_sequence_as(structure, list(results))


def with_room_for_rows(run):
    """See `_scan.with_room_for_rows`."""
    if not compiles_itself():
        return run

    def roomy(arrays, state, dropped, weights):
        rows = tf.shape(arrays["x"])[1]
        more = _room_for_rows(rows) - rows
        arrays = {name: _padded(array, more, axis=1) for name, array in arrays.items()}
        state = [_padded(part, more) for part in state]
        dropped = None if dropped is None else _padded(dropped, more)
        outputs, state, *before = run(arrays, state, dropped, weights)
        before = [[part[:, :rows] for part in parts] for parts in before]
        return outputs[:, :rows], [part[:rows] for part in state], *before

    return roomy


def _room_for_rows(rows):
    """The next number with at most four binary digits other than zero, 1/8 more at most."""
    sizes = [*range(1, 16), *(m << e for e in range(1, 27) for m in range(8, 16))]
    return _next(sizes, rows)


def _next(sizes, number):
    """The least of the ascending `sizes` that is not less than a number."""
    sizes = tf.constant(sizes)
    return tf.gather(sizes, tf.searchsorted(sizes, number[None])[0])


def _padded(array, more, axis=0):
    pads = [[0, 0]] * len(array.shape)
    pads[axis] = [0, more]
    shape = [None if i == axis else n for i, n in enumerate(array.shape)]
    return tf.ensure_shape(tf.pad(array, pads), shape)


def _with_room(xs):
    """Arrays (T, ...) padded to the next power of two, and T."""
    time = tf.shape(_first(xs))[0]
    more = _next([_SHORTEST << i for i in range(31 - _SHORTEST.bit_length())], time) - time
    return keras.tree.map_structure(lambda array: _padded(array, more), xs), time


def _first(xs):
    return next(iter(xs[0].values()))
