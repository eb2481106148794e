"""Attention, Transformer blocks and positions of keras_seq in ONNX."""

import math

import numpy as np

from keras_seq.export.targets._onnx_graph import array_of, register_onnx
from keras_seq.export.targets._onnx_layers import activate, dense
from keras_seq.layers import (
    AdditiveAttention,
    AlibiBias,
    DotAttention,
    FeedForward,
    LearnedPositions,
    MultiHeadCrossAttention,
    MultiHeadSelfAttention,
    PositionalEmbedding,
    RMSNormalization,
    RotaryEmbedding,
    RowColumnPositions,
    TransformerDecoderBlock,
    TransformerEncoderBlock,
)

_LOWEST = np.float32(-3e38)


@register_onnx(MultiHeadSelfAttention)
def emit_self_attention(graph, layer, x, mask=None):
    query, key, value = _heads(graph, layer, x, x)
    scheme, t = layer.position_scheme, graph.range(graph.size(x, 1))
    distance = graph.op("Sub", graph.unsqueeze(t, 1), t)  # (T, T), t - s
    bias = None
    if type(scheme) is RotaryEmbedding:
        query, key = (_rotated(graph, scheme, q, t, layer.key_dim) for q in (query, key))
    elif type(scheme) is AlibiBias:
        slopes = -scheme.slopes(layer.num_heads)[:, None, None]
        bias = graph.op("Mul", graph.cast(graph.op("Abs", distance), "float32"), slopes)
    elif scheme is not None:
        raise NotImplementedError(f"its positions are a {type(scheme).__name__}")
    attend = _attended(graph, x.mask if mask is None else mask, axes=(1, 2))
    if layer.causal:
        near = graph.op("GreaterOrEqual", distance, np.int64(0))
        if layer.sliding_window is not None:
            window = graph.op("Less", distance, np.int64(layer.sliding_window))
            near = graph.op("And", near, window)
        attend = near if attend is None else graph.op("And", attend, near)
    return _mixed(graph, layer, query, key, value, attend, bias)


@register_onnx(MultiHeadCrossAttention)
def emit_cross_attention(graph, layer, x, context, mask=None, context_mask=None):
    query, key, value = _heads(graph, layer, x, context)
    attend = _attended(graph, context.mask if context_mask is None else context_mask, axes=(1, 2))
    return _mixed(graph, layer, query, key, value, attend)


@register_onnx(DotAttention)
def emit_dot_attention(graph, layer, x, context, mask=None, context_mask=None):
    key = context if layer.score_mode == "dot" else graph.op("MatMul", context, layer.key_kernel)
    query = x
    if layer.use_scale == "sqrt":
        query = graph.op("Mul", x, 1 / math.sqrt(x.shape[-1]))
    elif layer.use_scale:
        query = graph.op("Mul", x, layer.scale)
    scores = graph.op("MatMul", query, graph.op("Transpose", key, perm=[0, 2, 1]))  # (B, T, S)
    return _of_context(graph, scores, context, context_mask)


def _of_context(graph, scores, context, context_mask):
    attend = _attended(graph, context.mask if context_mask is None else context_mask, axes=(1,))
    return graph.op("MatMul", _masked_softmax(graph, scores, attend), context)


def _heads(graph, layer, x, context):
    """Queries (B, H, T, K), keys and values (B, H, S, K)."""
    projected = []
    for name, inputs in (("query", x), ("key", context), ("value", context)):
        kernel = array_of(getattr(layer, f"{name}_kernel"))  # (D, heads, K)
        bias = getattr(layer, f"{name}_bias")
        bias = None if bias is None else array_of(bias).ravel()
        y = dense(graph, inputs, kernel.reshape(len(kernel), -1), bias)
        y = graph.op("Reshape", y, graph.ints(0, 0, *kernel.shape[1:]))
        y = graph.op("Transpose", y, perm=[0, 2, 1, 3])
        if kernel.shape[1] != layer.num_heads:  # each for its group of queries
            groups = np.repeat(np.arange(kernel.shape[1]), layer.num_heads // kernel.shape[1])
            y = graph.op("Gather", y, groups, axis=1)
        projected.append(y)
    return projected


def _mixed(graph, layer, query, key, value, attend, bias=None):
    """softmax(Q K^T scale + bias) V, projected."""
    scale = 1 / math.sqrt(layer.key_dim) if layer.scale is None else layer.scale
    query = graph.op("Mul", query, scale)
    scores = graph.op("MatMul", query, graph.op("Transpose", key, perm=[0, 1, 3, 2]))
    if bias is not None:
        scores = graph.op("Add", scores, bias)
    y = graph.op("MatMul", _masked_softmax(graph, scores, attend), value)
    y = graph.op("Transpose", y, perm=[0, 2, 1, 3])
    kernel = array_of(layer.output_kernel)  # (H, width, D)
    kernel = kernel.reshape(-1, kernel.shape[-1])
    y = graph.op("Reshape", y, graph.ints(0, 0, len(kernel)))
    return dense(graph, y, kernel, layer.output_bias)


def _masked_softmax(graph, scores, attend):
    """Weights are zero where nothing may be attended to."""
    if attend is None:
        return graph.op("Softmax", scores, axis=-1)
    weights = graph.op("Softmax", graph.op("Where", attend, scores, _LOWEST), axis=-1)
    return graph.op("Where", attend, weights, np.float32(0))


def _attended(graph, mask, axes):
    """The mask (B, S) of keys with more axes, or `None`."""
    return None if mask is None else graph.unsqueeze(mask, *axes)


def _rotated(graph, scheme, x, t, width):
    """x (B, H, T, K) rotated by the angles of positions t."""
    frequencies = np.asarray(scheme.inverse_frequencies(width), "float32")  # (K / 2,)
    angles = graph.op("Mul", graph.unsqueeze(graph.cast(t, "float32"), 1), frequencies[None])
    cosine, sine = graph.op("Cos", angles), graph.op("Sin", angles)  # (T, K / 2)
    first, second = graph.op("Split", x, graph.ints(width // 2, width // 2), outputs=2, axis=-1)

    def products(a, b, kind):
        return graph.op(kind, graph.op("Mul", a, cosine), graph.op("Mul", b, sine))

    rotated = products(first, second, "Sub"), products(second, first, "Add")
    return graph.op("Concat", *rotated, axis=-1)


@register_onnx(AdditiveAttention)
def emit_additive_attention(graph, layer, x, context, mask=None, context_mask=None):
    query = graph.unsqueeze(graph.op("MatMul", x, layer.query_kernel), 2)  # (B, T, 1, U)
    key = graph.unsqueeze(graph.op("MatMul", context, layer.key_kernel), 1)  # (B, 1, S, U)
    y = graph.op("Tanh", graph.op("Add", query, key))
    scores = graph.op("MatMul", y, array_of(layer.score_kernel).reshape(-1, 1))
    scores = graph.op("Squeeze", scores, graph.ints(3))
    return _of_context(graph, scores, context, context_mask)


@register_onnx(TransformerEncoderBlock)
@register_onnx(TransformerDecoderBlock)
def emit_block(graph, layer, x, context=None, mask=None, context_mask=None):
    mask = x.mask if mask is None else mask

    def residual(name, x, **arguments):
        f, norm = getattr(layer, name), getattr(layer, f"{name}_norm")
        inputs = graph.emit(norm, x) if layer.normalize_first else x
        x = graph.op("Add", x, graph.emit(f, inputs, **arguments))
        return x if layer.normalize_first else graph.emit(norm, x)

    y = residual("self_attention", x, mask=mask)
    if context is not None:
        context_mask = context.mask if context_mask is None else context_mask
        y = residual("cross_attention", y, context=context, context_mask=context_mask)
    return residual("feed_forward", y)


@register_onnx(FeedForward)
def emit_feed_forward(graph, layer, x):
    y = dense(graph, x, layer.inner_kernel, layer.inner_bias)
    y = activate(graph, layer.activation, y)
    if layer.gated:
        y = graph.op("Mul", y, dense(graph, x, layer.linear_kernel, layer.linear_bias))
    return dense(graph, y, layer.outer_kernel, layer.outer_bias)


@register_onnx(RMSNormalization)
def emit_rms_normalization(graph, layer, x):
    mean = graph.op("ReduceMean", graph.op("Mul", x, x), axes=[-1], keepdims=1)
    root = graph.op("Sqrt", graph.op("Add", mean, layer.epsilon))
    return graph.op("Mul", graph.op("Div", x, root), layer.scale)


@register_onnx(PositionalEmbedding)
def emit_positional_embedding(graph, layer, tokens, reverse=False, mask_padding=False):
    if reverse:
        y = graph.op("MatMul", tokens, graph.op("Transpose", layer.embeddings, perm=[1, 0]))
        y = y if layer.reverse_bias is None else graph.op("Add", y, layer.reverse_bias)
        return y.with_mask(tokens.mask)
    y = graph.op("Gather", layer.embeddings, tokens)
    if layer.scale_embeddings:
        y = graph.op("Mul", y, math.sqrt(layer.dim))
    if layer.positions is not None:
        y = graph.op("Add", y, _table(graph, layer, tokens))
    mask = None
    if layer.mask_zero or mask_padding:
        padding = np.asarray(layer.padding_id, tokens.dtype)
        mask = graph.op("Not", graph.op("Equal", tokens, padding))
    return y.with_mask(mask)


@register_onnx(LearnedPositions)
def emit_learned_positions(graph, layer, x):
    return graph.op("Add", x, _table(graph, layer, x))


@register_onnx(RowColumnPositions)
def emit_row_column_positions(graph, layer, x):
    rows, columns = array_of(layer.rows), array_of(layer.columns)
    table = (rows[:, None] + columns).reshape(-1, rows.shape[-1])
    if layer.prefix is not None:
        table = np.concatenate([array_of(layer.prefix), table])
    return graph.op("Add", x, graph.op("Gather", table, graph.range(graph.size(x, 1))))


def _table(graph, layer, x):
    """(T, D): the positions of the T steps of x. Beyond the table ONNX Runtime fails."""
    first = layer.position_offset
    t = graph.op("Add", graph.range(graph.size(x, 1)), np.int64(first))
    return graph.op("Gather", layer.positions, t)
