r"""Explicit back-propagation through time (Werbos 1990) for gated cells.

Differentiating a loop as it stands adds a gradient of the recurrent kernel's size at every time
step. But all steps use the same kernel U in the same place,

    a_t = h_{t-1} U,    state_t = update(x_t, a_t, state_{t-1})

so the loop backwards needs to carry the gradient of the state alone,

    (dx_t, da_t, dstate_{t-1}) = dstate_t  d update / d(x_t, a_t, state_{t-1})
    dh_{t-1} += da_t U^T

and the kernel's gradient is one product over all rows and steps, dU = sum_t h_{t-1}^T da_t. The
derivative of `update`, which holds no product, is taken by the backend.

What is stored for each row and step: x_t + a_t (in place of x_t, where the cell adds the two; else
a_t in addition to x_t) and state_{t-1}. An LSTM needs 6 U numbers, a GRU 7 U, and as many again
that pass within the step. Backwards, the gradient of x_t takes the place of what was stored.
"""

from keras import ops

from keras_seq.layers.recurrent import _scan as loops


def explicit_run(parts, weights, unroll=False):
    """Run gated cells over time with an explicit gradient; see `_engine.plain_run`."""
    kernel, bias, others = weights
    given = {
        "parts": [(arrays, state, step.dropped) for step, arrays, state in parts],
        "weights": (kernel, bias, list(others)),
    }
    steps = [step for step, _, _ in parts]

    def forward(given):
        return _forward(steps, given, unroll)

    def backward(stored, given, gradients):
        return _backward(steps, stored, given, gradients, unroll)

    return loops.with_gradient(forward, backward)(given)


def _forward(steps, given, unroll):
    """The loop, and what the loop backwards needs of it."""
    kernel, bias, others = given["weights"]
    cell = steps[0].cell

    def body(states, now, overwrite):
        new, stored = [], []
        for p, (step, state, n) in enumerate(zip(steps, states, now, strict=True)):
            state = step.reset(state, n)
            a = ops.matmul(_dropped_out(given, p, state[0]), kernel)
            a = a if bias is None else a + bias
            if cell.adds_products:
                z = overwrite(p, "x", n["x"] + a)
                updated = cell.pointwise(z, state, *others)
                stored.append(loops.named(state))
            else:
                updated = cell.update(n["x"], a, state, *others)
                stored.append({"a": a, **loops.named(state)})
            new.append(step.apply_mask_and_zoneout(updated, state, n))
            stored[-1]["h"] = new[-1][0]
        return new, stored

    arrays = [arrays for arrays, _, _ in given["parts"]]
    states = [state for _, state, _ in given["parts"]]
    like = []
    for x, state in zip(arrays, states, strict=True):
        a = {} if cell.adds_products else {"a": x["x"][0]}
        like.append({**a, **loops.named(state), "h": state[0]})
    states, stored, xs = loops.scan(
        body,
        states,
        arrays,
        like,
        overwritten=("x",),
        sliced=("x",),
        unroll=unroll,
        compile=True,
    )
    outputs = [(part.pop("h"), state) for part, state in zip(stored, states, strict=True)]
    stored = [{**part, "x": x["x"]} for part, x in zip(stored, xs, strict=True)]
    return outputs, stored


def _backward(steps, stored, given, gradients, unroll):
    """Gradients of everything in `given`, in its structure; `None` for masks and the like."""
    kernel, bias, others = given["weights"]
    cell = steps[0].cell
    kernel_transposed = ops.transpose(kernel)

    def body(carry, now, overwrite):
        d_states, d_others = carry
        passed = []
        for p, (step, d_state, n) in enumerate(zip(steps, d_states, now, strict=True)):
            old = [n[f"state_{i}"] for i in range(len(d_state))]
            d_state = [d_state[0] + n["d_h"], *d_state[1:]]
            if cell.adds_products:

                def update(z, old, others, step=step, n=n):
                    return step.apply_mask_and_zoneout(cell.pointwise(z, old, *others), old, n)

                d_x, d_old, d_w = loops.vjp(update, (n["x"], old, others), d_state)
                d_a = overwrite(p, "x", d_x)
            else:

                def update(x, a, old, others, step=step, n=n):
                    return step.apply_mask_and_zoneout(cell.update(x, a, old, *others), old, n)

                d_x, d_a, d_old, d_w = loops.vjp(update, (n["x"], n["a"], old, others), d_state)
                overwrite(p, "x", d_x)
                d_a = overwrite(p, "a", d_a)
            d_old[0] = d_old[0] + _dropped_out(given, p, ops.matmul(d_a, kernel_transposed))
            passed.append(step.reset(d_old, n))
            d_others = [d + w for d, w in zip(d_others, d_w, strict=True)]
        return (passed, d_others), [{} for _ in steps]

    arrays, d_states = [], []
    for (xs, _, _), kept, (d_h, d_state) in zip(given["parts"], stored, gradients, strict=True):
        others_of_step = {name: array for name, array in xs.items() if name != "x"}
        arrays.append({**kept, **others_of_step, "d_h": d_h})
        d_states.append(d_state)
    carry = (d_states, [ops.zeros_like(w) for w in others])
    (d_states, d_others), _, arrays = loops.scan(
        body,
        carry,
        arrays,
        [{} for _ in steps],
        reverse=True,
        overwritten=("x", "a"),
        sliced=("x", "a"),
        unroll=unroll,
        compile=True,
    )

    d_kernel, d_bias, d_parts = 0.0, None if bias is None else 0.0, []
    for p, ((xs, _, _), after, d_state) in enumerate(
        zip(given["parts"], arrays, d_states, strict=True)
    ):
        d_a = after.get("a", after["x"])
        d_a = ops.reshape(d_a, (-1, d_a.shape[-1]))  # (T * B, num_gates * U)
        h = _dropped_out(given, p, stored[p]["state_0"])
        h = ops.reshape(h, (-1, h.shape[-1]))
        d_kernel = d_kernel + ops.matmul(ops.transpose(h), d_a)
        if bias is not None:
            d_bias = d_bias + ops.sum(d_a, axis=0)
        d_parts.append(({name: after["x"] if name == "x" else None for name in xs}, d_state, None))
    return {"parts": d_parts, "weights": (d_kernel, d_bias, d_others)}


def _dropped_out(given, p, h):
    """h after recurrent dropout, or the gradient of that: both have the same factors."""
    dropped = given["parts"][p][2]
    return h if dropped is None else h * dropped
