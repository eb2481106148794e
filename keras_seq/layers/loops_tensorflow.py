"""The loop over time and derivatives on TensorFlow, in graphs with and without XLA and eagerly."""

import keras
import tensorflow as tf
from keras import ops

# Rows are taken in groups where the kernel leaves room in a core's cache (bytes).
_GROUPS, _LARGEST_KERNEL = 4, 2**21


class _ListBuffer:
    """A `TensorArray`: differentiable, each step's tensor written once and never copied."""

    def __init__(self, time, array=None, like=None):
        if array is not None:
            shape, dtype = array.shape[1:], array.dtype
        else:
            shape, dtype = like.shape, like.dtype
        self.array = tf.TensorArray(dtype, time, element_shape=shape, clear_after_read=False)
        if array is not None:
            self.array = self.array.unstack(array)

    @staticmethod
    def read(buffer, t):
        return buffer.read(t)

    @staticmethod
    def write(buffer, t, value):
        return buffer.write(t, value)

    @staticmethod
    def stack(buffer):
        return buffer.stack()


class _PlainBuffer:
    """One tensor updated in place: no list operations, so LiteRT takes it with any shape."""

    def __init__(self, time, array=None, like=None):
        self.array = array
        if array is None:
            sizes = [n or tf.shape(like)[i] for i, n in enumerate(like.shape)]
            self.array = tf.zeros(tf.stack([time, *sizes]), like.dtype)
            static = time if isinstance(time, int) else None
            self.array = tf.ensure_shape(self.array, (static, *like.shape))

    @staticmethod
    def read(buffer, t):
        return tf.gather(buffer, t)

    @staticmethod
    def write(buffer, t, value):
        start = tf.stack([t] + [0] * len(value.shape))
        return ops.slice_update(buffer, start, tf.expand_dims(value, 0))

    @staticmethod
    def stack(buffer):
        return buffer


def scan(turn, carry, xs, like, reverse, overwritten, sliced, in_place):
    """See `loops.scan`."""
    kind = _PlainBuffer if in_place else _ListBuffer
    in_xla = _in_xla()
    first = next(iter(xs[0].values()))
    time = tf.shape(first)[0] if first.shape[0] is None else first.shape[0]
    given = [{k: kind(time, array=a).array for k, a in part.items()} for part in xs]
    changing = [{k: b for k, b in part.items() if k in overwritten} for part in given]
    outputs = [{k: kind(time, like=a).array for k, a in part.items()} for part in like]

    def body(s, carry, changing, outputs):
        t = time - 1 - s if reverse else s
        changing = [dict(part) for part in changing]
        now = [
            {k: kind.read(changed.get(k, b), t) for k, b in part.items()}
            for part, changed in zip(given, changing, strict=True)
        ]
        if in_xla:
            now = [
                {k: _materialized(x, s < time) if k in sliced else x for k, x in part.items()}
                for part in now
            ]

        def overwrite(p, name, value):
            changing[p][name] = kind.write(changing[p][name], t, value)
            return value

        carry, values = turn(carry, now, overwrite)
        outputs = [
            {k: kind.write(buffer, t, new[k]) for k, buffer in part.items()}
            for part, new in zip(outputs, values, strict=True)
        ]
        return s + 1, carry, changing, outputs

    _, carry, changing, outputs = tf.while_loop(
        lambda s, *_: s < time,
        body,
        (tf.constant(0), carry, changing, outputs),
        maximum_iterations=time,  # XLA can differentiate only a loop with a known bound
    )
    static = first.shape[0]
    outputs = [
        {k: tf.ensure_shape(kind.stack(b), (static, *shape[k].shape)) for k, b in part.items()}
        for part, shape in zip(outputs, like, strict=True)
    ]
    after = [
        {
            k: tf.ensure_shape(kind.stack(changed[k]), array.shape) if k in changed else array
            for k, array in part.items()
        }
        for part, changed in zip(xs, changing, strict=True)
    ]
    return carry, outputs, after


def _materialized(x, true):
    """x as a tensor of its own, where XLA would read it anew for every use of a part of it.

    Fused with the gates' slices, the step of a long array is read element by element: four times
    the time of everything else in an LSTM's step (measured). XLA does not repeat a division, which
    it takes for expensive, so x is divided by a one whose value XLA does not know.
    """
    return x / tf.cast(true, x.dtype)


def with_gradient(forward, backward):
    """See `loops.with_gradient`."""

    def run(given):
        flat = keras.tree.flatten(given)
        tensors = [i for i, value in enumerate(flat) if value is not None]

        @tf.custom_gradient
        def flat_run(*values):
            again = list(flat)
            for i, value in zip(tensors, values, strict=True):
                again[i] = value
            nest = keras.tree.pack_sequence_as(given, again)
            outputs, stored = forward(nest)

            def gradient(*gradients):
                result = backward(stored, nest, keras.tree.pack_sequence_as(outputs, gradients))
                result = keras.tree.flatten(result)
                return [result[i] for i in tensors]

            run.outputs = outputs
            return tuple(keras.tree.flatten(outputs)), gradient

        values = flat_run(*(flat[i] for i in tensors))
        return keras.tree.pack_sequence_as(run.outputs, list(values))

    return run


def vjp(function, primals, gradients):
    """See `loops.vjp`."""
    flat = keras.tree.flatten(primals)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(flat)
        outputs = keras.tree.flatten(function(*primals))
    result = tape.gradient(outputs, flat, keras.tree.flatten(gradients), "zero")
    return keras.tree.pack_sequence_as(primals, result)


def row_groups(x, cell):
    """See `loops.row_groups`."""
    batch = x.shape[0]
    kernel = cell.recurrent_kernel
    too_large = kernel.shape[0] * kernel.shape[1] * 4 > _LARGEST_KERNEL
    if too_large or (batch is not None and batch < 2 * _GROUPS) or not _in_xla():
        return [(lambda array: array, lambda array: array)]
    if batch is None:
        batch = tf.shape(x)[0]
    size = -(-batch // _GROUPS)

    def group(start):
        # All groups are equally large, because XLA takes no empty ones: the last ones may begin
        # with rows that an earlier one has, too, of which the results are then left out.
        static = isinstance(start, int)
        begin = min(start, batch - size) if static else tf.minimum(start, batch - size)

        def take(array):
            if static:
                return array[begin : begin + size]
            rest = [n or tf.shape(array)[i + 1] for i, n in enumerate(array.shape[1:])]
            part = tf.slice(array, [begin] + [0] * len(rest), tf.stack([size, *rest]))
            return tf.ensure_shape(part, (None, *array.shape[1:]))

        return take, lambda array: array if static and begin == start else array[start - begin :]

    return [group(p * size) for p in range(_GROUPS)]


def _in_xla():
    """Whether what is traced now is to be compiled by XLA."""
    from tensorflow.python.ops import control_flow_util

    return control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
