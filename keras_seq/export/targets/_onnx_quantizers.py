"""Vector quantization in ONNX: nearest codes, as ids or looked up."""

import numpy as np

from keras_seq.export.targets._onnx_graph import array_of, register_onnx
from keras_seq.export.targets._onnx_layers import dense
from keras_seq.layers import GumbelQuantizer, VectorQuantizer


@register_onnx(VectorQuantizer)
def emit_vector_quantizer(graph, layer, x, return_ids=False, reverse=False):
    codes = array_of(layer.codebook)  # (V, D)
    kernel, bias = 2 * codes.T, -np.square(codes).sum(-1)  # the greatest is the least distance
    return _quantized(graph, layer, x, (kernel, bias), return_ids, reverse)


@register_onnx(GumbelQuantizer)
def emit_gumbel_quantizer(graph, layer, x, return_ids=False, reverse=False):
    return _quantized(graph, layer, x, (layer.kernel, layer.bias), return_ids, reverse)


def _quantized(graph, layer, x, scores, return_ids, reverse):
    """The codes of ids x, (...); or of vectors x, (..., D), by the kernel and bias of scores."""
    if reverse:
        return graph.op("Gather", layer.codebook, x)
    ids = graph.op("ArgMax", dense(graph, x, *scores), axis=-1, keepdims=0)
    return graph.cast(ids, "int32") if return_ids else graph.op("Gather", layer.codebook, ids)
