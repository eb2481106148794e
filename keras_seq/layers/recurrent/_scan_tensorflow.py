"""The loop over time and derivatives on TensorFlow, in graphs with and without XLA and eagerly."""

import keras
import tensorflow as tf
from keras import ops

from keras_seq.layers.recurrent._self_compiled import compiles_itself, in_xla, self_compiled

# Rows are divided into groups where the kernel leaves room in a core's cache (bytes).
_GROUPS, _LARGEST_KERNEL = 2, 2**21


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


def scan(
    body, carry, xs, like, reverse, overwritten, sliced, in_place, steps_per_iteration, compile
):
    """See `_scan.scan`."""
    known = next(iter(xs[0].values())).shape[0] is not None  # LiteRT refuses blocks beyond the end
    if in_place and known and steps_per_iteration > 1 and not reverse and not overwritten:
        return _scan_in_blocks(body, carry, xs, like, steps_per_iteration)

    def loop(carry, xs, time):
        return _loop(body, carry, xs, like, reverse, overwritten, sliced, in_place, time)

    if compile and compiles_itself():
        carry, outputs, changed = self_compiled(loop, carry, xs)
    else:
        carry, outputs, changed = loop(carry, xs, None)
    after = [{**part, **new} for part, new in zip(xs, changed, strict=True)]
    return carry, outputs, after


def _loop(body, carry, xs, like, reverse, overwritten, sliced, in_place, time):
    """The loop over the first `time` steps, an int scalar tensor, or over all if it is `None`.

    Returns:
        `(carry, outputs, changed)`, with the arrays of `xs` that were overwritten.
    """
    kind = _PlainBuffer if in_place else _ListBuffer
    materialize = in_xla()
    first = next(iter(xs[0].values()))
    room = tf.shape(first)[0] if first.shape[0] is None else first.shape[0]
    # XLA can differentiate only a loop with a known bound.
    bound = room if time is None else None
    time = room if time is None else time
    given = [{k: kind(room, array=a).array for k, a in part.items()} for part in xs]
    changing = [{k: b for k, b in part.items() if k in overwritten} for part in given]
    outputs = [{k: kind(room, like=a).array for k, a in part.items()} for part in like]

    def iteration(s, carry, changing, outputs):
        t = time - 1 - s if reverse else s
        changing = [dict(part) for part in changing]
        now = [
            {k: kind.read(changed.get(k, b), t) for k, b in part.items()}
            for part, changed in zip(given, changing, strict=True)
        ]
        if materialize:
            now = [
                {k: _materialized(x) if k in sliced else x for k, x in part.items()} for part in now
            ]

        def overwrite(p, name, value):
            changing[p][name] = kind.write(changing[p][name], t, value)
            return value

        carry, values = body(carry, now, overwrite)
        outputs = [
            {k: kind.write(buffer, t, new[k]) for k, buffer in part.items()}
            for part, new in zip(outputs, values, strict=True)
        ]
        return s + 1, carry, changing, outputs

    _, carry, changing, outputs = tf.while_loop(
        lambda s, *_: s < time,
        iteration,
        (tf.constant(0), carry, changing, outputs),
        maximum_iterations=bound,
    )
    static = first.shape[0]
    outputs = [
        {k: tf.ensure_shape(kind.stack(b), (static, *shape[k].shape)) for k, b in part.items()}
        for part, shape in zip(outputs, like, strict=True)
    ]
    changed = [
        {k: tf.ensure_shape(kind.stack(b), array[k].shape) for k, b in part.items()}
        for part, array in zip(changing, xs, strict=True)
    ]
    return carry, outputs, changed


def _scan_in_blocks(body, carry, xs, like, steps):
    """`scan` in place, `steps` time steps an iteration; those left over follow the loop.

    In LiteRT an iteration costs more than a small step's arithmetic.
    """
    first = next(iter(xs[0].values()))
    time = first.shape[0]

    def run(carry, start, count, outputs=None):
        """`count` time steps from `start` on; their outputs are written into `outputs` if given."""
        now = [{k: tf.unstack(_part(a, start, count)) for k, a in part.items()} for part in xs]
        values = []
        for i in range(count):
            carry, new = body(carry, [{k: a[i] for k, a in part.items()} for part in now], None)
            values.append(new)
        blocks = [{k: tf.stack([v[p][k] for v in values]) for k in n} for p, n in enumerate(like)]
        if outputs is None:
            return carry, blocks
        pairs = zip(outputs, blocks, strict=True)
        return carry, [{k: _updated(b, start, new[k]) for k, b in p.items()} for p, new in pairs]

    if steps >= time:
        return *run(carry, 0, time), xs

    def iteration(s, carry, outputs):
        return s + 1, *run(carry, s * steps, steps, outputs)

    outputs = [{k: _PlainBuffer(time, like=a).array for k, a in part.items()} for part in like]
    loop_vars = (tf.constant(0), carry, outputs)
    _, carry, outputs = tf.while_loop(lambda s, *_: s < time // steps, iteration, loop_vars)
    if time % steps:
        carry, outputs = run(carry, time - time % steps, time % steps, outputs)
    outputs = [
        {k: tf.ensure_shape(b, (time, *shape[k].shape)) for k, b in part.items()}
        for part, shape in zip(outputs, like, strict=True)
    ]
    return carry, outputs, xs


def _part(array, start, count):
    if array.shape[0] == count:
        return array
    rank = len(array.shape)
    part = tf.slice(array, tf.stack([start] + [0] * (rank - 1)), [count] + [-1] * (rank - 1))
    return tf.ensure_shape(part, (count, *array.shape[1:]))


def _updated(buffer, start, block):
    start = tf.stack([start] + [0] * (len(block.shape) - 1))
    return ops.slice_update(buffer, start, block)


def _materialized(x):
    """x as a tensor of its own, where XLA would read it anew for every use of a part of it.

    Fused with the gates' slices, the step of a long array is read element by element: four times
    the time of everything else in an LSTM's step (measured). XLA does not repeat a division, which
    it takes for expensive, so x is divided by a tensor that is one wherever x is a number.
    """
    return x / tf.cast(tf.equal(x, x), x.dtype)


def with_gradient(forward, backward):
    """See `_scan.with_gradient`."""

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
    """See `_scan.vjp`."""
    flat = keras.tree.flatten(primals)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(flat)
        outputs = keras.tree.flatten(function(*primals))
    result = tape.gradient(outputs, flat, keras.tree.flatten(gradients), "zero")
    # The gradient of a slice of unknown size has forgotten its shape.
    result = [tf.ensure_shape(d, x.shape) for d, x in zip(result, flat, strict=True)]
    return keras.tree.pack_sequence_as(primals, result)


def records_gradients():
    """See `_scan.records_gradients`."""
    from tensorflow.python.eager import record

    return record.could_possibly_record()


def row_groups(x, cell, compile):
    """See `_scan.row_groups`."""
    batch = x.shape[1]
    kernel = cell.recurrent_kernel
    too_large = kernel.shape[0] * kernel.shape[1] * 4 > _LARGEST_KERNEL
    too_few = batch is not None and batch < 4 * _GROUPS
    if too_large or too_few or not (in_xla() or (compile and compiles_itself())):
        return [(lambda array, axis=0: array, lambda array, axis=0: array)]
    if batch is None:
        batch = tf.shape(x)[1]
    size = -(-batch // _GROUPS)

    def group(start):
        # All groups are equally large, because XLA takes no empty ones: the last ones may begin
        # with rows that an earlier one has, too, of which the results are then left out.
        static = isinstance(start, int)
        begin = min(start, batch - size) if static else tf.minimum(start, batch - size)

        def take(array, axis=0):
            if static:
                return array[(slice(None),) * axis + (slice(begin, begin + size),)]
            sizes = [n or tf.shape(array)[i] for i, n in enumerate(array.shape)]
            sizes[axis] = size
            begins = [0] * len(sizes)
            begins[axis] = begin
            shape = [None if i == axis else n for i, n in enumerate(array.shape)]
            return tf.ensure_shape(tf.slice(array, tf.stack(begins), tf.stack(sizes)), shape)

        def new(array, axis=0):
            if static and begin == start:
                return array
            return array[(slice(None),) * axis + (slice(start - begin, None),)]

        return take, new

    return [group(p * size) for p in range(_GROUPS)]
