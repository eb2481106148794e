"""The Transformer blocks' equations in NumPy, with the weights of a block of ours."""

import numpy as np
from keras import ops

from tests.layers.layer_equations import layer_norm, multi_head_attention

EPSILON = 1e-5


def residual(x, sublayer, norm, normalize_first):
    """`norm(x + f(x))`, or `x + f(norm(x))`."""
    if normalize_first:
        return x + sublayer(normalize(x, norm))
    return normalize(x + sublayer(x), norm)


def normalize(x, norm):
    """With a `scale` alone Zhang & Sennrich 2019, else Ba et al. 2016."""
    if hasattr(norm, "scale") and not hasattr(norm, "gamma"):
        mean_square = np.mean(x**2, axis=-1, keepdims=True)
        return values(norm.scale) * x / np.sqrt(mean_square + EPSILON)
    beta = 0.0 if norm.beta is None else values(norm.beta)
    return layer_norm(x, values(norm.gamma), beta, EPSILON)


def attend(sublayer, visible, context=None):
    weights = []
    for name in ("query", "key", "value", "output"):
        kernel = values(getattr(sublayer, f"{name}_kernel"))
        bias = getattr(sublayer, f"{name}_bias")
        no_bias = np.zeros(kernel.shape[-1:] if name == "output" else kernel.shape[1:])
        weights += [kernel, no_bias if bias is None else values(bias)]

    def attention(x):
        source = x if context is None else context
        return multi_head_attention(x, source, weights, visible)[0]

    return attention


def forward(sublayer):
    """Vaswani et al. 2017, equation 2, or ReGLU of Shazeer 2020, equation 6."""

    def dense(x, name):
        bias = getattr(sublayer, f"{name}_bias")
        y = x @ values(getattr(sublayer, f"{name}_kernel"))
        return y if bias is None else y + values(bias)

    def network(x):
        y = np.maximum(dense(x, "inner"), 0)
        return dense(y * dense(x, "linear") if sublayer.gated else y, "outer")

    return network


def values(weight):
    return ops.convert_to_numpy(weight).astype("float64")
