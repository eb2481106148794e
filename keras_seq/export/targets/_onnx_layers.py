"""Keras' own layers and operations in ONNX, as far as sequence models have them."""

import keras
import numpy as np

from keras_seq.export.targets._onnx_graph import _EMITTERS, OnnxValue, array_of, register_onnx
from keras_seq.layers import CausalWindow, EachStep, LearnedTokens
from keras_seq.layers.blocks._activations import gelu_tanh

layers = keras.layers


# Activations: a function to a function of graph and value.
def _operator(kind, **attributes):
    return lambda graph, x: graph.op(kind, x, **attributes)


def _gelu(graph, x):  # x / 2 (1 + erf(x / sqrt 2)), which ONNX Runtime fuses
    inside = graph.op("Add", graph.op("Erf", graph.op("Mul", x, 0.5**0.5)), 1.0)
    return graph.op("Mul", graph.op("Mul", x, 0.5), inside)


def _gelu_tanh(graph, x):
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
    keras.activations.gelu: _gelu,
    gelu_tanh: _gelu_tanh,
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
    return graph.op("Softmax", x, axis=_one_axis(layer.axis))


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
    if _one_axis(layer.axis) != -1:
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


# Operations of keras.ops, by the names of their classes, which are not public.
def _binary(kind, after=None):
    def emit(graph, operation, x, y):
        dtype = x.dtype if isinstance(x, OnnxValue) else y.dtype
        x, y = (v if isinstance(v, OnnxValue) else np.asarray(v, dtype) for v in (x, y))
        z = graph.op(kind, x, y)
        return z if after is None else graph.op(after, z)

    return emit


def _unary(kind):
    return lambda graph, operation, x: graph.op(kind, x)


def _activation(function):
    return lambda graph, operation, x: activate(graph, function, x)


def _reduced(kind):
    def emit(graph, operation, x):
        keep, axes = int(operation.keepdims), operation.axis
        axes = list(range(len(x.shape))) if axes is None else list(np.ravel(axes))
        if kind == "ReduceSum":
            return graph.op(kind, x, graph.ints(*axes), keepdims=keep)
        return graph.op(kind, x, axes=[int(a) for a in axes], keepdims=keep)

    return emit


def _any(graph, operation, x):
    numbers = _like(graph.cast(x, "int32"), x)
    return graph.cast(_reduced("ReduceMax")(graph, operation, numbers), "bool")


def _where(graph, operation, condition, x, y):
    dtype = next(v.dtype for v in (x, y) if isinstance(v, OnnxValue))
    x, y = (v if isinstance(v, OnnxValue) else np.asarray(v, dtype) for v in (x, y))
    return graph.op("Where", condition, x, y)


def _like(value, x):
    """`value` with the shape of `x`."""
    return OnnxValue(value.name, x.shape, value.dtype)


def _variance(graph, operation, x):
    axes = list(range(len(x.shape))) if operation.axis is None else list(np.ravel(operation.axis))
    axes, keep = [int(a) for a in axes], int(operation.keepdims)
    difference = graph.op("Sub", x, graph.op("ReduceMean", x, axes=axes, keepdims=1))
    square = graph.op("Mul", difference, difference)
    return graph.op("ReduceMean", square, axes=axes, keepdims=keep)


def _reshaped(graph, operation, x):
    shape = [-1 if n is None else int(n) for n in operation.newshape]
    return graph.op("Reshape", x, graph.ints(*shape))


def _stacked(graph, operation, inputs):
    return graph.op(
        "Concat", *(graph.unsqueeze(x, operation.axis) for x in inputs), axis=operation.axis
    )


def _one_axis(axis):
    axis = list(np.ravel(axis))
    if len(axis) != 1:
        raise NotImplementedError("it has several axes")
    return int(axis[0])


def _concatenated(graph, operation, inputs):
    return graph.op("Concat", *inputs, axis=operation.axis)


def _cast(graph, operation, x):
    return graph.cast(x, operation.dtype)


def _transposed(graph, operation, x):
    axes = operation.axes or tuple(reversed(range(len(x.shape))))
    return graph.op("Transpose", x, perm=[int(a) for a in axes])


def _flipped(graph, operation, x):
    axes = range(len(x.shape)) if operation.axis is None else np.ravel(operation.axis)
    begin, end = [-1] * len(axes), [np.iinfo("int64").min] * len(axes)
    return graph.op("Slice", x, *(graph.ints(*n) for n in (begin, end, axes, begin)))


def _item(graph, operation, x, key):
    """x[key] of numbers, slices of numbers, and an ellipsis at an end."""
    key = key if isinstance(key, (tuple, list)) else (key,)
    axis, squeezed = 0, []
    for i, part in enumerate(key):
        if part is Ellipsis:
            axis = len(x.shape) - (len(key) - i - 1)
            continue
        if isinstance(part, slice) and all(
            n is None or isinstance(n, int) for n in (part.start, part.stop, part.step)
        ):
            if part != slice(None):
                step = 1 if part.step is None else part.step
                limits = (0, np.iinfo("int64").max) if step > 0 else (-1, np.iinfo("int64").min)
                start = limits[0] if part.start is None else part.start
                stop = limits[1] if part.stop is None else part.stop
                bounds = (graph.ints(n) for n in (start, stop, axis, step))
                x = _like(graph.op("Slice", x, *bounds), x)
        elif isinstance(part, int):
            end = part + 1 if part != -1 else np.iinfo("int64").max
            bounds = (graph.ints(n) for n in (part, end, axis))
            x = _like(graph.op("Slice", x, *bounds), x)
            squeezed.append(axis)
        else:
            raise NotImplementedError(f"it takes the item {part!r}")
        axis += 1
    return graph.op("Squeeze", x, graph.ints(*squeezed)) if squeezed else graph.op("Identity", x)


_EMITTERS.update(
    Add=_binary("Add"), Subtract=_binary("Sub"), Multiply=_binary("Mul"), Divide=_binary("Div"),
    TrueDivide=_binary("Div"), Maximum=_binary("Max"), Minimum=_binary("Min"),
    Power=_binary("Pow"), Matmul=_binary("MatMul"),
    Equal=_binary("Equal"), NotEqual=_binary("Equal", "Not"), Greater=_binary("Greater"),
    Less=_binary("Less"), GreaterEqual=_binary("GreaterOrEqual"), LessEqual=_binary("LessOrEqual"),
    LogicalAnd=lambda g, o, x, y: g.op("And", x, y), LogicalOr=lambda g, o, x, y: g.op("Or", x, y),
    LogicalNot=_unary("Not"), Negative=_unary("Neg"), Abs=_unary("Abs"), Absolute=_unary("Abs"),
    Exp=_unary("Exp"), Log=_unary("Log"), Sqrt=_unary("Sqrt"), Sin=_unary("Sin"),
    Cos=_unary("Cos"), Erf=_unary("Erf"), Square=lambda g, o, x: g.op("Mul", x, x),
    Tanh=_unary("Tanh"), Sigmoid=_unary("Sigmoid"), Relu=_unary("Relu"),
    Softplus=_unary("Softplus"), Silu=_activation(keras.activations.silu),
    Gelu=lambda g, o, x: (_gelu_tanh if o.approximate else _gelu)(g, x),
    Softmax=lambda g, o, x: g.op("Softmax", x, axis=_one_axis(o.axis)),
    LogSoftmax=lambda g, o, x: g.op("LogSoftmax", x, axis=_one_axis(o.axis)),
    Mean=_reduced("ReduceMean"), Sum=_reduced("ReduceSum"), Max=_reduced("ReduceMax"),
    Min=_reduced("ReduceMin"), Concatenate=_concatenated, Cast=_cast, Transpose=_transposed,
    GetItem=_item, Flip=_flipped, Var=_variance, Reshape=_reshaped, Stack=_stacked,
    ZerosLike=lambda g, o, x: g.op("Mul", x, np.asarray(0, x.dtype)),
    ExpandDims=lambda g, o, x: g.unsqueeze(x, *np.ravel(o.axis)),
    Squeeze=lambda g, o, x: g.op("Squeeze", x, g.ints(*np.ravel(o.axis))),
    Where=_where, Any=_any,
    Cumsum=lambda g, o, x: g.op("CumSum", x, np.int64(_one_axis(o.axis))),
    Identity=_unary("Identity"), StopGradient=lambda g, o, x: g.op("Identity", x),
)  # fmt: skip
