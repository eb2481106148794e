"""Operations of `keras.ops` in ONNX, by the names of their classes, which are not public."""

import keras
import numpy as np

from keras_seq.export.targets._onnx_graph import _EMITTERS, OnnxValue
from keras_seq.export.targets._onnx_layers import (
    activate,
    gelu_by_erf,
    gelu_by_tanh,
    one_axis,
)


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
    Gelu=lambda g, o, x: (gelu_by_tanh if o.approximate else gelu_by_erf)(g, x),
    Softmax=lambda g, o, x: g.op("Softmax", x, axis=one_axis(o.axis)),
    LogSoftmax=lambda g, o, x: g.op("LogSoftmax", x, axis=one_axis(o.axis)),
    Mean=_reduced("ReduceMean"), Sum=_reduced("ReduceSum"), Max=_reduced("ReduceMax"),
    Min=_reduced("ReduceMin"), Concatenate=_concatenated, Cast=_cast, Transpose=_transposed,
    GetItem=_item, Flip=_flipped, Var=_variance, Reshape=_reshaped, Stack=_stacked,
    ZerosLike=lambda g, o, x: g.op("Mul", x, np.asarray(0, x.dtype)),
    ExpandDims=lambda g, o, x: g.unsqueeze(x, *np.ravel(o.axis)),
    Squeeze=lambda g, o, x: g.op("Squeeze", x, g.ints(*np.ravel(o.axis))),
    Where=_where, Any=_any,
    Cumsum=lambda g, o, x: g.op("CumSum", x, np.int64(one_axis(o.axis))),
    Identity=_unary("Identity"), StopGradient=lambda g, o, x: g.op("Identity", x),
)  # fmt: skip
