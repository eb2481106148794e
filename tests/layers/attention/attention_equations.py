"""Multi-head attention with all its options in NumPy: one row, head and query at a time."""

import numpy as np

from tests.layers.layer_equations import softmax


def rotated(x, t, max_wavelength=10000, scaling_factor=1.0):
    """Su et al. 2021, equation 12: pairs of features as complex numbers, times e^(i t theta)."""
    half = len(x) // 2
    theta = max_wavelength ** (-np.arange(half) / half)
    pairs = (x[:half] + 1j * x[half:]) * np.exp(1j * t / scaling_factor * theta)
    return np.concatenate([pairs.real, pairs.imag])


def slopes(heads):
    """Press et al. 2022, section 3, and the authors' rule where H is no power of two."""
    power = 1
    while 2 * power <= heads:
        power *= 2
    first = [2 ** (-8 * h / power) for h in range(1, power + 1)]
    between = [2 ** (-8 * h / (2 * power)) for h in range(1, 2 * power + 1, 2)]
    return np.array((first + between)[:heads])


def attention(x, context, weights, visible, positions=None, bias=None):
    """Vaswani et al. 2017, section 3.2; grouped as in Ainslie et al. 2023, section 2.2.

    Args:
        x: (B, T, D); context: (B, S, D2).
        weights: kernel and bias of query, key, value and output, one after another, heads apart.
        visible: booleans that broadcast to (B, T, S).
        positions: `None`, "rotary" or "alibi".
        bias: (B, H, T, S), added to the scores.

    Returns:
        `(y, scores)`: (B, T, D) and (B, H, T, S).
    """
    wq, bq, wk, bk, wv, bv, wo, bo = weights
    heads, width = wq.shape[1:]
    group = heads // wk.shape[1]
    scores = np.zeros((len(x), heads, x.shape[1], context.shape[1]))
    y = np.zeros((*x.shape[:2], wo.shape[-1])) + bo
    visible = np.broadcast_to(visible, (len(x), x.shape[1], context.shape[1]))
    for b, h in np.ndindex(len(x), heads):
        g = h // group
        q, k, v = (
            a[b] @ w[:, i] + c[i]
            for a, w, c, i in [(x, wq, bq, h), (context, wk, bk, g), (context, wv, bv, g)]
        )
        if positions == "rotary":
            q, k = (np.stack([rotated(row, t) for t, row in enumerate(m)]) for m in (q, k))
        for t in range(len(q)):
            see = visible[b, t]
            energy = k @ q[t] / np.sqrt(width)
            if positions == "alibi":
                energy = energy - slopes(heads)[h] * np.abs(t - np.arange(len(k)))
            if bias is not None:
                energy = energy + bias[b, h, t]
            if see.any():
                scores[b, h, t, see] = softmax(energy[see])
        y[b] += scores[b, h] @ v @ wo[h]
    return y, scores


def band(time, window=None):
    """(1, T, T) boolean: t sees itself and what is before it, at most `window` positions."""
    distance = np.arange(time)[:, None] - np.arange(time)
    return ((distance >= 0) & (distance < (window or time)))[None]
