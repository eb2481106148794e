"""Keras' own layers in ONNX, as far as sequence models have them, and activations."""

import keras
import numpy as np

from keras_seq.export.targets._onnx_graph import OnnxValue, array_of, register_onnx
from keras_seq.layers import CausalWindow, EachStep, LearnedTokens
from keras_seq.layers.blocks._activations import gelu_tanh

layers = keras.layers


# Activations: a function to a function of graph and value.
def _operator(kind, **attributes):
    return lambda graph, x: graph.op(kind, x, **attributes)


def gelu_by_erf(graph, x):  # x / 2 (1 + erf(x / sqrt 2)), which ONNX Runtime fuses
    inside = graph.op("Add", graph.op("Erf", graph.op("Mul", x, 0.5**0.5)), 1.0)
    return graph.op("Mul", graph.op("Mul", x, 0.5), inside)


def gelu_by_tanh(graph, x):
    cube = graph.op("Mul", graph.op("Mul", x, x), x)
    inside = graph.op("Add", x, graph.op("Mul", cube, 0.044715))
    inside = graph.op("Tanh", graph.op("Mul", inside, (2 / np.pi) ** 0.5))
    return graph.op("Mul", graph.op("Mul", x, 0.5), graph.op("Add", inside, 1.0))


def _silu(graph, x):
    return graph.op("Mul", x, graph.op("Sigmoid", x))


_ACTIVATIONS = {
    keras.activations.linear: lambda graph, x: x,
    keras.activations.relu: _operator("Relu"),
    keras.activations.sigmoid: _operator("Sigmoid"),
    keras.activations.tanh: _operator("Tanh"),
    keras.activations.softmax: _operator("Softmax", axis=-1),
    keras.activations.log_softmax: _operator("LogSoftmax", axis=-1),
    keras.activations.elu: _operator("Elu"),
    keras.activations.selu: _operator("Selu"),
    keras.activations.softplus: _operator("Softplus"),
    keras.activations.softsign: _operator("Softsign"),
    keras.activations.exponential: _operator("Exp"),
    keras.activations.hard_sigmoid: _operator("HardSigmoid", alpha=1 / 6, beta=0.5),
    keras.activations.gelu: gelu_by_erf,
    gelu_tanh: gelu_by_tanh,
    keras.activations.silu: _silu,
}


def activate(graph, function, x):
    """An activation of Keras."""
    if function is None:
        return x
    if function not in _ACTIVATIONS:
        name = getattr(function, "__name__", function)
        raise NotImplementedError(f"its activation {name} is not known")
    return _ACTIVATIONS[function](graph, x)


def dense(graph, x, kernel, bias=None):
    """x kernel + bias."""
    y = graph.op("MatMul", x, kernel)
    return y if bias is None else graph.op("Add", y, bias)


def one_axis(axis):
    axis = list(np.ravel(axis))
    if len(axis) != 1:
        raise NotImplementedError("it has several axes")
    return int(axis[0])


@register_onnx(layers.Dense)
def emit_dense(graph, layer, x):
    return activate(graph, layer.activation, dense(graph, x, layer.kernel, layer.bias))


@register_onnx(layers.Embedding)
def emit_embedding(graph, layer, ids):
    y = graph.op("Gather", layer.embeddings, ids)
    zero = np.asarray(0, ids.dtype)
    return y.with_mask(graph.op("Not", graph.op("Equal", ids, zero)) if layer.mask_zero else None)


@register_onnx(layers.ReversibleEmbedding)
def emit_reversible_embedding(graph, layer, x, reverse=False):
    if not reverse:
        return emit_embedding(graph, layer, x)
    if not layer.tie_weights:
        y = graph.op("MatMul", x, layer.reverse_embeddings)
    else:
        y = graph.op("MatMul", x, graph.op("Transpose", layer.embeddings, perm=[1, 0]))
    return y.with_mask(x.mask)


@register_onnx(layers.Masking)
def emit_masking(graph, layer, x):
    other = graph.op("Not", graph.op("Equal", x, np.float32(layer.mask_value)))
    count = graph.op("ReduceMax", graph.cast(other, "float32"), axes=[-1], keepdims=1)
    y = graph.op("Mul", x, count)
    return y.with_mask(graph.cast(graph.op("Squeeze", count, graph.ints(-1)), "bool"))


def emit_identity(graph, layer, x):
    return OnnxValue(x.name, x.shape, x.dtype)


for name in ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout",
             "AlphaDropout", "ActivityRegularization", "Identity"):  # fmt: skip
    register_onnx(getattr(layers, name))(emit_identity)


@register_onnx(layers.Activation)
def emit_activation(graph, layer, x):
    return activate(graph, layer.activation, x)


@register_onnx(layers.ReLU)
def emit_relu(graph, layer, x):
    if layer.negative_slope or layer.threshold:
        raise NotImplementedError("its negative slope or threshold is not known")
    y = graph.op("Relu", x)
    return y if layer.max_value is None else graph.op("Min", y, np.float32(layer.max_value))


@register_onnx(layers.LeakyReLU)
def emit_leaky_relu(graph, layer, x):
    return graph.op("LeakyRelu", x, alpha=float(layer.negative_slope))


@register_onnx(layers.Softmax)
def emit_softmax(graph, layer, x):
    return graph.op("Softmax", x, axis=one_axis(layer.axis))


@register_onnx(layers.Rescaling)
def emit_rescaling(graph, layer, x):
    return graph.op("Add", graph.op("Mul", x, _float(layer.scale)), _float(layer.offset))


def _float(x):
    return np.asarray(x, "float32")


@register_onnx(layers.LayerNormalization)
def emit_layer_normalization(graph, layer, x):
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    if axes not in ([-1], [len(layer.gamma.shape)] if layer.gamma is not None else [-1]):
        last = x.shape is not None and axes == [len(x.shape) - 1]
        if not last:
            raise NotImplementedError("its axis is not the last one")
    width = None if layer.gamma is None else layer.gamma
    if width is None:
        width = np.ones(x.shape[-1], "float32")
    return graph.op(
        "LayerNormalization", x, width, layer.beta, axis=-1, epsilon=float(layer.epsilon)
    )


@register_onnx(layers.RMSNormalization)
def emit_rms_normalization(graph, layer, x):
    if one_axis(layer.axis) != -1:
        raise NotImplementedError("its axis is not the last one")
    mean = graph.op("ReduceMean", graph.op("Mul", x, x), axes=[-1], keepdims=1)
    root = graph.op("Sqrt", graph.op("Add", mean, layer.epsilon))
    return graph.op("Mul", graph.op("Div", x, root), layer.scale)


@register_onnx(layers.BatchNormalization)
def emit_batch_normalization(graph, layer, x):
    scale = 1 / np.sqrt(array_of(layer.moving_variance) + layer.epsilon)
    if layer.gamma is not None:
        scale = scale * array_of(layer.gamma)
    offset = -array_of(layer.moving_mean) * scale
    if layer.beta is not None:
        offset = offset + array_of(layer.beta)
    shape = [1] * len(x.shape)
    shape[layer.axis] = -1
    scale, offset = (a.reshape(shape).astype("float32") for a in (scale, offset))
    return graph.op("Add", graph.op("Mul", x, scale), offset)


def _merging(kind):
    def emit(graph, layer, inputs):
        y = inputs[0]
        for x in inputs[1:]:
            y = graph.op(kind, y, x)
        if isinstance(layer, layers.Average):
            y = graph.op("Mul", y, 1 / len(inputs))
        masks = [x.mask for x in inputs]
        mask = masks[0]
        for other in masks[1:]:
            mask = None if None in (mask, other) else graph.op("Or", mask, other)
        return y.with_mask(mask)

    return emit


for name, kind in (("Add", "Add"), ("Subtract", "Sub"), ("Multiply", "Mul"), ("Average", "Add"),
                   ("Maximum", "Max"), ("Minimum", "Min")):  # fmt: skip
    register_onnx(getattr(layers, name))(_merging(kind))


@register_onnx(layers.Concatenate)
def emit_concatenate(graph, layer, inputs):
    y = graph.op("Concat", *inputs, axis=layer.axis)
    masks = [x.mask for x in inputs]
    if all(mask is None for mask in masks):
        return y.with_mask(None)
    if layer.axis not in (-1, len(inputs[0].shape) - 1) or None in masks:
        raise NotImplementedError("it joins masks in another way than along the features")
    mask = masks[0]
    for other in masks[1:]:
        mask = graph.op("And", mask, other)
    return y.with_mask(mask)


@register_onnx(layers.Flatten)
def emit_flatten(graph, layer, x):
    if layer.data_format != "channels_last":
        raise NotImplementedError("its data format is not channels_last")
    return graph.op("Reshape", x, graph.ints(0, -1)) if len(x.shape) > 1 else graph.unsqueeze(x, 1)


@register_onnx(layers.Reshape)
def emit_reshape(graph, layer, x):
    return graph.op("Reshape", x, graph.ints(0, *layer.target_shape))


@register_onnx(layers.Permute)
def emit_permute(graph, layer, x):
    return graph.op("Transpose", x, perm=[0, *layer.dims])


@register_onnx(layers.RepeatVector)
def emit_repeat_vector(graph, layer, x):
    return graph.op("Tile", graph.unsqueeze(x, 1), graph.ints(1, layer.n, 1))


@register_onnx(layers.GlobalAveragePooling1D)
def emit_global_average(graph, layer, x, mask=None):
    mask = x.mask if mask is None else mask
    if layer.data_format != "channels_last":
        raise NotImplementedError("its data format is not channels_last")
    keep = int(layer.keepdims)
    if mask is None:
        return graph.op("ReduceMean", x, axes=[1], keepdims=keep).with_mask(None)
    weights = graph.unsqueeze(graph.cast(mask, "float32"), 2)
    axis = graph.ints(1)
    total = graph.op("ReduceSum", graph.op("Mul", x, weights), axis, keepdims=keep)
    count = graph.op("ReduceSum", weights, axis, keepdims=keep)
    return graph.op("Div", total, count).with_mask(None)


@register_onnx(layers.GlobalMaxPooling1D)
def emit_global_max(graph, layer, x):
    if layer.data_format != "channels_last":
        raise NotImplementedError("its data format is not channels_last")
    return graph.op("ReduceMax", x, axes=[1], keepdims=int(layer.keepdims))


@register_onnx(layers.Conv1D)
@register_onnx(layers.Conv2D)
def emit_convolution(graph, layer, x):
    if layer.data_format != "channels_last":
        raise NotImplementedError("its data format is not channels_last")
    rank = len(x.shape)
    first, last = [0, rank - 1, *range(1, rank - 1)], [0, *range(2, rank), 1]  # channels
    kernel = array_of(layer.kernel)  # (*widths, D, F)
    kernel = np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1)))
    attributes = {"strides": list(layer.strides), "dilations": list(layer.dilation_rate)}
    if layer.padding == "causal":
        attributes["pads"] = [(kernel.shape[2] - 1) * layer.dilation_rate[0], 0]
    elif layer.padding == "same":
        attributes["auto_pad"] = "SAME_UPPER"
    y = graph.op("Transpose", x, perm=first)
    y = graph.op("Conv", y, kernel, layer.bias, group=layer.groups, **attributes)
    return activate(graph, layer.activation, graph.op("Transpose", y, perm=last))


@register_onnx(layers.Conv2DTranspose)
def emit_transposed_convolution(graph, layer, x):
    plain = layer.padding == "valid" and layer.output_padding is None
    plain = plain and layer.data_format == "channels_last" and set(layer.dilation_rate) == {1}
    if not plain or any(w < s for w, s in zip(layer.kernel_size, layer.strides, strict=True)):
        raise NotImplementedError("it has another padding than 'valid', or a dilation")
    kernel = array_of(layer.kernel).transpose(3, 2, 0, 1)  # (h, w, F, D) to (D, F, h, w)
    y = graph.op("Transpose", x, perm=[0, 3, 1, 2])
    y = graph.op(
        "ConvTranspose", y, np.ascontiguousarray(kernel), layer.bias, strides=list(layer.strides)
    )
    return activate(graph, layer.activation, graph.op("Transpose", y, perm=[0, 2, 3, 1]))


@register_onnx(CausalWindow)
def emit_causal_window(graph, layer, x, mask=None):
    if mask is not None or x.mask is not None:
        raise NotImplementedError("it has a mask, with which it has no operators in ONNX")
    before = layer.size - 1  # zeros
    x = graph.op("Pad", x, graph.ints(0, before, 0, 0, 0, 0))
    ends = [i - before or np.iinfo("int64").max for i in range(layer.size)]
    axis = graph.ints(1)
    parts = [
        graph.op("Slice", x, graph.ints(i), graph.ints(end), axis) for i, end in enumerate(ends)
    ]
    return graph.op("Concat", *parts, axis=-1)


@register_onnx(EachStep)
def emit_each_step(graph, layer, x):
    shape = graph.op("Shape", x)
    y = graph.op("Reshape", x, graph.ints(-1, *x.shape[2:]))
    y = graph.emit(layer.layer, OnnxValue(y.name, (None, *x.shape[2:]), x.dtype))
    steps = graph.op("Slice", shape, graph.ints(0), graph.ints(2))
    features = layer.compute_output_shape(x.shape)[2:]
    return graph.op("Reshape", y, graph.op("Concat", steps, graph.ints(*features), axis=0))


@register_onnx(LearnedTokens)
def emit_learned_tokens(graph, layer, x):
    tokens = array_of(layer.tokens)
    batch = graph.op("Unsqueeze", graph.size(x, 0), graph.ints(0))
    shape = graph.op("Concat", batch, graph.ints(*tokens.shape), axis=0)
    return graph.op("Expand", tokens[None], shape).with_mask(None)
