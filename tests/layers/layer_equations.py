"""The layers' equations in NumPy, one time step and one head at a time, as in the papers."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def lstm_step(x, h, c, kernel, recurrent_kernel, bias):
    """Gers et al. 2000, without peepholes: `(h, c)`."""
    w_i, w_f, w_g, w_o = np.split(kernel, 4, axis=-1)
    u_i, u_f, u_g, u_o = np.split(recurrent_kernel, 4, axis=-1)
    b_i, b_f, b_g, b_o = np.split(bias, 4)
    i = sigmoid(x @ w_i + h @ u_i + b_i)
    f = sigmoid(x @ w_f + h @ u_f + b_f)
    g = np.tanh(x @ w_g + h @ u_g + b_g)
    o = sigmoid(x @ w_o + h @ u_o + b_o)
    c = f * c + i * g
    return o * np.tanh(c), c


def peephole_lstm_step(x, h, c, kernel, recurrent_kernel, bias, peephole):
    """Gers, Schraudolph & Schmidhuber 2002: `(h, c)`."""
    w_i, w_f, w_g, w_o = np.split(kernel, 4, axis=-1)
    u_i, u_f, u_g, u_o = np.split(recurrent_kernel, 4, axis=-1)
    b_i, b_f, b_g, b_o = np.split(bias, 4)
    p_i, p_f, p_o = peephole
    i = sigmoid(x @ w_i + h @ u_i + p_i * c + b_i)
    f = sigmoid(x @ w_f + h @ u_f + p_f * c + b_f)
    c = f * c + i * np.tanh(x @ w_g + h @ u_g + b_g)
    return sigmoid(x @ w_o + h @ u_o + p_o * c + b_o) * np.tanh(c), c


def layer_norm_lstm_step(
    x, h, c, kernel, recurrent_kernel, bias, g_x, b_x, g_h, b_h, g_c, b_c, epsilon
):
    """Ba, Kiros & Hinton 2016, supplementary material: `(h, c)`."""

    def norm(v, gamma, beta):
        variance = v.var(axis=-1, keepdims=True)
        return gamma * (v - v.mean(axis=-1, keepdims=True)) / np.sqrt(variance + epsilon) + beta

    z = norm(x @ kernel + bias, g_x, b_x) + norm(h @ recurrent_kernel, g_h, b_h)
    i, f, g, o = np.split(z, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(norm(c, g_c, b_c)), c


def gru_step(x, h, kernel, recurrent_kernel, bias):
    """Cho et al. 2014, the reset gate before the product, or after it if there are two biases."""
    w_z, w_r, w_g = np.split(kernel, 3, axis=-1)
    u_z, u_r, u_g = np.split(recurrent_kernel, 3, axis=-1)
    b_z, b_r, b_g = np.split(bias[0] if bias.ndim == 2 else bias, 3)
    c_z, c_r, c_g = np.split(bias[1] if bias.ndim == 2 else 0 * bias, 3)
    z = sigmoid(x @ w_z + b_z + h @ u_z + c_z)
    r = sigmoid(x @ w_r + b_r + h @ u_r + c_r)
    inside = r * (h @ u_g + c_g) if bias.ndim == 2 else (r * h) @ u_g
    g = np.tanh(x @ w_g + b_g + inside)
    return z * h + (1 - z) * g


def additive_attention(x, context, query_kernel, key_kernel, score_kernel, mask=None):
    """Bahdanau et al. 2015, appendix A.1.2: `(y, weights)`, one query and one row at a time."""
    batch, steps, sources = len(x), x.shape[1], context.shape[1]
    weights = np.zeros((batch, steps, sources))
    for b in range(batch):
        for t in range(steps):
            energy = np.array(
                [
                    score_kernel[:, 0]
                    @ np.tanh(x[b, t] @ query_kernel + context[b, j] @ key_kernel)
                    for j in range(sources)
                ]
            )
            visible = np.ones(sources, bool) if mask is None else mask[b]
            if visible.any():
                weights[b, t, visible] = softmax(energy[visible])
    return weights @ context, weights


def multi_head_attention(x, context, weights, visible):
    """Vaswani et al. 2017, section 3.2: `(y, scores)`.

    Args:
        x: (B, T, D); context: (B, S, D2).
        weights: kernel and bias of query, key, value and output in turn, heads apart.
        visible: (B, T, S) boolean.
    """
    wq, bq, wk, bk, wv, bv, wo, bo = weights
    batch, steps = x.shape[:2]
    heads, key_dim = wq.shape[1:]
    scores = np.zeros((batch, heads, steps, context.shape[1]))
    y = np.zeros((batch, steps, wo.shape[-1])) + bo
    for b in range(batch):
        for h in range(heads):
            q, k = x[b] @ wq[:, h] + bq[h], context[b] @ wk[:, h] + bk[h]
            v = context[b] @ wv[:, h] + bv[h]
            for t in range(steps):
                see = visible[b, t]
                if see.any():
                    scores[b, h, t, see] = softmax((k @ q[t])[see] / np.sqrt(key_dim))
            y[b] += scores[b, h] @ v @ wo[h]
    return y, scores


def layer_norm(x, gamma, beta, epsilon):
    """Ba et al. 2016, over the features."""
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def feed_forward(x, inner_kernel, inner_bias, outer_kernel, outer_bias):
    """Vaswani et al. 2017, equation 2, with ReLU."""
    return np.maximum(x @ inner_kernel + inner_bias, 0) @ outer_kernel + outer_bias


def randomise(layer, seed=0, scale=0.4):
    """Random weights, biases included, so that nothing is hidden behind zeros."""
    rng = np.random.default_rng(seed)
    layer.set_weights([scale * rng.normal(size=w.shape) for w in layer.get_weights()])
    return [w.astype("float64") for w in layer.get_weights()]


def normal(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")
