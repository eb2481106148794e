r"""Run segments of a long sequence again backwards, instead of storing them.

Back-propagation through time stores a few numbers of each unit, row and time step. For a long
sequence they can be the most of a training step's memory. Here the forward run keeps the state
before each segment of S steps alone; backwards, from the last segment to the first, each is run
again with all that its gradient needs, which is then forgotten (Chen et al. 2016, "Training deep
nets with sublinear memory cost"; for time, Gruslys et al. 2016). Stored are T / S states and one
segment, least for S near the square root of T, at the price of a second forward run.
"""

import keras
from keras import ops

from keras_seq.layers.recurrent import _scan as loops


def segmented(run, steps):
    """`run` in segments of `steps` time steps, with a gradient that runs each of them again.

    Args:
        run: `(arrays, state, dropped, weights) -> (outputs, state)`: arrays a dict of (T, B, ...)
            with the inputs `x` and boolean masks, state a list of (B, U), outputs (T, B, U).
        steps: S.

    Returns:
        A function like `run`.
    """

    def segmented_run(arrays, state, dropped, weights):
        time = arrays["x"].shape[0]
        time = ops.shape(arrays["x"])[0] if time is None else time
        leaves = [w for w in keras.tree.flatten(weights) if w is not None]

        def run_one(x, masks, state, dropped, leaves):
            left = iter(leaves)
            again = [None if w is None else next(left) for w in keras.tree.flatten(weights)]
            again = keras.tree.pack_sequence_as(weights, again)
            return run({"x": x, **masks}, state, dropped, again)

        x, masks = _in_segments(arrays, -(-time // steps), steps, time)
        given = {"x": x, "masks": masks, "state": state, "dropped": dropped, "weights": leaves}
        outputs, state = loops.with_gradient(*_forward_and_backward(run_one, steps))(given)
        return ops.reshape(outputs, (-1, *ops.shape(outputs)[2:]))[:time], state

    return segmented_run


def _forward_and_backward(run, steps):
    def forward(given):
        def body(state, now, overwrite):
            masks = {name: now[0][name] for name in given["masks"]}
            outputs, after = run(now[0]["x"], masks, state, given["dropped"], given["weights"])
            return after, [{"outputs": outputs, **loops.named(state)}]

        state = given["state"]
        outputs = ops.repeat(ops.expand_dims(state[0], 0), steps, axis=0)  # (S, B, U)
        like = [{"outputs": outputs, **loops.named(state)}]
        arrays = [{"x": given["x"], **given["masks"]}]
        state, stored, _ = loops.scan(body, state, arrays, like)
        return (stored[0].pop("outputs"), state), stored[0]

    def backward(stored, given, gradients):
        d_outputs, d_state = gradients

        def body(carry, now, overwrite):
            d_state, d_weights = carry
            now = now[0]
            masks = {name: now[name] for name in given["masks"]}
            state = [now[f"state_{i}"] for i in range(len(d_state))]

            def again(x, state, weights):
                return run(x, masks, state, given["dropped"], weights)

            primals = (now["x"], state, given["weights"])
            d_x, d_state, new = loops.vjp(again, primals, (now["d_outputs"], d_state))
            d_weights = [d + n for d, n in zip(d_weights, new, strict=True)]
            return (d_state, d_weights), [{"x": d_x}]

        arrays = {"x": given["x"], **given["masks"], **stored, "d_outputs": d_outputs}
        carry = (list(d_state), [ops.zeros_like(w) for w in given["weights"]])
        like = [{"x": given["x"][0]}]
        (d_state, d_weights), after, _ = loops.scan(body, carry, [arrays], like, reverse=True)
        return {
            "x": after[0]["x"],
            "masks": dict.fromkeys(given["masks"]),
            "state": d_state,
            "dropped": None,
            "weights": d_weights,
        }

    return forward, backward


def _in_segments(arrays, count, steps, time):
    """x and masks, (T, B, ...), as (count, S, B, ...); steps that the last one lacks are masked."""
    missing = count * steps - time
    masks = {name: array for name, array in arrays.items() if name != "x"}
    if not isinstance(missing, int) or missing:
        masks.setdefault("mask", ops.ones_like(arrays["x"][..., :1], dtype="bool"))

    def split(name, array):
        pads = [(0, missing)] + [(0, 0)] * (len(array.shape) - 1)
        array = ops.pad(array, pads, constant_values=int(name == "keep"))  # no reset at the end
        return ops.reshape(array, (count, steps, *ops.shape(array)[1:]))

    x = split("x", arrays["x"])
    masks = {name: split(name, ops.cast(array, "int8")) for name, array in masks.items()}
    return x, {name: ops.cast(array, "bool") for name, array in masks.items()}
