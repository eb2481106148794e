"""What the recurrence engine asks of a backend: a loop over time, and derivatives."""

import keras
from keras import ops

BACKEND = keras.backend.backend()
HAS_EXPLICIT_GRADIENTS = BACKEND in ("tensorflow", "jax")


def scan(
    body,
    carry,
    xs,
    like,
    reverse=False,
    overwritten=(),
    sliced=(),
    in_place=False,
    steps_per_iteration=1,
    unroll=False,
    compile=False,
):
    """Loop over time.

    Args:
        body: `(carry, now, overwrite) -> (carry, outputs)`, one time step. `now` has the arrays'
            values at the step. `overwrite(p, name, value)` puts `value` in the place of array
            `name` of `xs[p]` at this time step, and gives it back.
        carry: nest of tensors.
        xs: list of dicts of arrays (T, ...).
        like: list of dicts of tensors with the shape and dtype of the outputs at one time step.
        reverse: run from the last time step to the first.
        overwritten: names of arrays that `body` may overwrite.
        sliced: names of arrays of whose time steps `body` uses parts, as gates do.
        in_place: write outputs into one buffer each (TensorFlow).
        steps_per_iteration: time steps in one iteration of a TensorFlow loop that writes in place
            and runs forwards. No fewer than the sequence has, where that is known: no loop at all.
        unroll: no loop, but each time step in the graph; T must be known.
        compile: make the loop an XLA function of its own, if it stands in a plain TensorFlow graph
            that will not be exported. For loops that are not differentiated.

    Returns:
        `(carry, outputs, xs)`: outputs (T, ...) like `like`; `xs` after what was overwritten.
    """
    if unroll:
        return _unrolled(body, carry, xs, like, reverse)
    if BACKEND == "tensorflow":
        from keras_seq.layers.recurrent._scan_tensorflow import scan

        options = (reverse, overwritten, sliced, in_place, steps_per_iteration, compile)
        return scan(body, carry, xs, like, *options)

    def iteration(carry, now):
        places = {}

        def overwrite(p, name, value):
            places[f"{p}/{name}"] = value
            return value

        carry, outputs = body(carry, now, overwrite)
        return carry, (outputs, places)

    carry, (outputs, places) = ops.scan(iteration, carry, xs, reverse=reverse)
    xs = [
        {name: places.get(f"{p}/{name}", array) for name, array in part.items()}
        for p, part in enumerate(xs)
    ]
    return carry, outputs, xs


def _unrolled(body, carry, xs, like, reverse):
    """`scan` as a Python loop, on any backend."""
    time = next(iter(xs[0].values())).shape[0]
    steps = [{k: ops.unstack(array, axis=0) for k, array in part.items()} for part in xs]
    outputs = [{k: [None] * time for k in part} for part in like]
    changed = set()
    for t in reversed(range(time)) if reverse else range(time):

        def overwrite(p, name, value, t=t):
            steps[p][name][t] = value
            changed.add((p, name))
            return value

        now = [{k: array[t] for k, array in part.items()} for part in steps]
        carry, values = body(carry, now, overwrite)
        for part, new in zip(outputs, values, strict=True):
            for k in part:
                part[k][t] = new[k]
    outputs = [{k: ops.stack(values, axis=0) for k, values in part.items()} for part in outputs]
    xs = [
        {k: ops.stack(steps[p][k], axis=0) if (p, k) in changed else a for k, a in part.items()}
        for p, part in enumerate(xs)
    ]
    return carry, outputs, xs


def named(state):
    """The parts of a state as `scan` takes and gives arrays: by name."""
    return {f"state_{i}": part for i, part in enumerate(state)}


def with_gradient(forward, backward):
    """A function of one nest whose gradient is given.

    Args:
        forward: `given -> (outputs, stored)`.
        backward: `(stored, given, gradients of the outputs) -> gradients of given`.
    """
    if BACKEND == "tensorflow":
        from keras_seq.layers.recurrent._scan_tensorflow import with_gradient

        return with_gradient(forward, backward)
    import jax

    @jax.custom_vjp
    def run(given):
        return forward(given)[0]

    def run_and_store(given):
        outputs, stored = forward(given)
        return outputs, (stored, given)

    def gradient(stored, gradients):
        return (backward(*stored, gradients),)

    run.defvjp(run_and_store, gradient)
    return run


def vjp(function, primals, gradients):
    """Gradients of the primals (a tuple of nests), given those of the function's outputs."""
    if BACKEND == "tensorflow":
        from keras_seq.layers.recurrent._scan_tensorflow import vjp

        return vjp(function, primals, gradients)
    import jax

    return jax.vjp(function, *primals)[1](gradients)


def records_gradients():
    """Whether gradients of what runs now are recorded, as far as the backend can tell."""
    if BACKEND == "tensorflow":
        from keras_seq.layers.recurrent._scan_tensorflow import records_gradients

        return records_gradients()
    return False


def row_groups(x, cell, compile=False):
    """Groups of the rows of x, (T, B, D); `compile` as of the loop that runs over them.

    Each is a pair of functions: `take(array, axis)`, its rows of an array whose batch axis is
    `axis`, and `new(result, axis)`, what of its results no earlier group has.

    One XLA computation on a CPU runs what does not depend on each other side by side. Groups of
    rows that run side by side keep both the products and the elementwise work of all threads
    busy: 25 to 30 % less time for a forward pass on two cores. A kernel that is larger than
    the cache is better read once for all rows.
    """
    if BACKEND == "tensorflow":
        from keras_seq.layers.recurrent._scan_tensorflow import row_groups

        return row_groups(x, cell, compile)
    return [(lambda array, axis=0: array, lambda array, axis=0: array)]


def with_room_for_rows(run):
    """`run(arrays, state, dropped, weights)` for a number of rows that is not known.

    Where loops compile themselves it runs with a few rows too many, so that batches of many sizes
    need few compilations.
    """
    if BACKEND == "tensorflow":
        from keras_seq.layers.recurrent._self_compiled import with_room_for_rows

        return with_room_for_rows(run)
    return run
