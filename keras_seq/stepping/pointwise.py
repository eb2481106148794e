"""Which Keras layers and operations act on each time step alone, so that a step may call them."""

import inspect
import math

import keras
import numpy as np

# Layers that treat (B, 1, D) as they treat each step of (B, T, D), whatever their arguments.
_LAYERS = {
    "ActivityRegularization", "Add", "AlphaDropout", "Average", "Dropout", "ELU", "Embedding",
    "GaussianDropout", "GaussianNoise", "Identity", "LeakyReLU", "Masking", "Maximum", "Minimum",
    "Multiply", "ReLU", "Rescaling", "ReversibleEmbedding", "SpatialDropout1D", "Subtract",
    "TimeDistributed",
}  # fmt: skip

# Layers that work along the last axis, which must not be the time, with an activation of Keras.
_LAST_AXIS_LAYERS = {"Activation", "Dense", "EinsumDense"}

# Layers, and operations of `keras.ops`, that work along `axis`.
_AXIS_LAYERS = {
    "BatchNormalization", "Concatenate", "LayerNormalization", "RMSNormalization", "Softmax",
    "UnitNormalization",
}  # fmt: skip
_AXIS_OPS = {
    "All", "Amax", "Amin", "Any", "Argmax", "Argmin", "Concatenate", "Cumprod", "Cumsum", "Flip",
    "LayerNorm", "LogSoftmax", "Logsumexp", "Max", "Mean", "Min", "Norm", "Prod", "RMSNorm",
    "Repeat", "Softmax", "Sort", "Split", "Squeeze", "Std", "Sum", "Take", "Var",
}  # fmt: skip
_NEW_AXIS_OPS = {"ExpandDims", "OneHot", "Stack"}

# Layers of Keras that attend to the context: each target step does so alone.
_ATTENTIONS = {"AdditiveAttention", "Attention", "GroupedQueryAttention", "MultiHeadAttention"}

# Functions of `keras.activations` and `keras.ops` along the last axis; the others of them that are
# named here are elementwise.
_LAST_AXIS_FUNCTIONS = {"glu", "log_softmax", "softmax", "sparsemax"}
_ELEMENTWISE_FUNCTIONS = {
    "abs", "celu", "cos", "elu", "erf", "exp", "exponential", "gelu", "gelu_tanh", "hard_shrink",
    "hard_sigmoid",
    "hard_silu", "hard_swish", "hard_tanh", "identity", "leaky_relu", "linear", "log_sigmoid",
    "mish", "negative", "relu", "relu6", "selu", "sigmoid", "sign", "silu", "sin", "soft_shrink",
    "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sqrt", "square", "squareplus",
    "swish", "tanh", "tanh_shrink", "threshold",
}  # fmt: skip

# Operations of `keras.ops` that are elementwise.
_ELEMENTWISE_OPS = {
    "Abs", "Absolute", "Add", "Arctan", "Cast", "Ceil", "Clip", "Cos", "Divide", "DivideNoNan",
    "Elu", "Equal", "Erf", "Exp", "Expm1", "Floor", "FloorDivide", "Gelu", "Greater",
    "GreaterEqual", "HardSigmoid", "HardSilu", "HardTanh", "Identity", "LeakyRelu", "Less",
    "LessEqual", "Log", "Log1p", "LogSigmoid", "LogicalAnd", "LogicalNot", "LogicalOr", "Maximum",
    "Minimum", "Mod", "Multiply", "Negative", "NotEqual", "OnesLike", "Power", "Reciprocal", "Relu",
    "Relu6", "Round", "Rsqrt", "Selu", "Sigmoid", "Sign", "Silu", "Sin", "Softplus", "Softsign",
    "Sqrt", "Square", "StopGradient", "Subtract", "Tanh", "TrueDivide", "Where", "ZerosLike",
}  # fmt: skip

# Why attention to the context cannot be stepped.
MASK_OF_CONTEXT = "its `attention_mask` has a time axis of its own"
CAUSAL_TO_CONTEXT = (
    "its `use_causal_mask` hides places of the context by the number of the target step, which a "
    "single step does not know"
)

_registered = set()
_registered_functions = []


def register_pointwise(layer_class):
    """Declare that a layer of your own acts on each time step alone, so that it can be stepped.

    A layer is pointwise in time when `layer(x)[:, t]` depends on `x[:, t]` only, for every t. It
    may have several inputs. A function that is used as an `activation` can be declared, too. Usable
    as a decorator.

    Args:
        layer_class: a subclass of `keras.layers.Layer` (or `keras.Operation`), or a function from
            a tensor to a tensor of its shape.

    Returns:
        `layer_class`, unchanged.

    Raises:
        TypeError: if `layer_class` is neither.

    Example:

    ```python
    import keras
    import keras_seq

    @keras_seq.stepping.register_pointwise
    class Halve(keras.layers.Layer):
        def call(self, x):
            return x / 2
    ```
    """
    if isinstance(layer_class, type) and issubclass(layer_class, keras.Operation):
        _registered.add(layer_class)
    elif inspect.isfunction(layer_class):
        _registered_functions.append(layer_class)
    else:
        raise TypeError(
            "`layer_class` of register_pointwise must be a subclass of keras.layers.Layer, or a "
            f"function. Received: {layer_class!r}"
        )
    return layer_class


def why_not_pointwise(operation, args, kwargs, outputs, on_target):
    """`None` if `operation` acts on each time step alone, else the reason why not.

    The time is axis 1 of every tensor that depends on the target, so an operation acts on each step
    alone if it touches axes from 2 on only, and if nothing else that it reads has a time axis.

    Args:
        operation: a Keras layer or op.
        args, kwargs: the symbolic arguments of the call in the graph.
        outputs: what they give, symbolic.
        on_target: tells of a symbolic tensor whether it depends on the target.
    """
    if isinstance(operation, tuple(_registered)):
        return None
    if is_third_party(operation):
        return "it has no `step`, and nothing says that it acts on each time step alone"
    # The mask that Keras hands to a layer is (B, T) beside (B, T, D); `Softmax` adds it to x.
    own = {n: x for n, x in kwargs.items() if n != "mask" or type(operation).__name__ == "Softmax"}
    operands = [x for x in keras.tree.flatten((args, own)) if hasattr(x, "shape")]
    ranks = [len(x.shape) for x in operands if _depends(x, on_target)]
    rank = max(ranks)
    if rank < 2:
        return f"its input has rank {rank}, without a time axis"
    is_layer = isinstance(operation, keras.layers.Layer)
    if is_layer and type(operation).__name__ in _ATTENTIONS:
        return _why_not_attention(operation, args, kwargs, on_target)
    if min(ranks) < rank:
        return (
            f"it combines tensors of {min(ranks)} and {rank} axes that both depend on the target: "
            "shapes are aligned at their ends, so that the time of one meets features of the other "
            "(give the smaller one an axis of features: keras.ops.expand_dims(x, -1))"
        )
    if is_reshape(operation):
        return _why_not_reshape(args[0], outputs[0])
    if _is_product_with_context(operation, args, on_target):
        return None
    return (
        _why_not_axes(operation, is_layer, args, rank)
        or _why_not_operands(operands, on_target, rank, merges_ranks=is_layer)
        or _why_not_attributes(operation, rank)
    )


def why_not_sublayers(layer):
    """The reason why a layer with a `step` of its own cannot be stepped after all, or `None`.

    Its activation would run over (B, T, features) in a call; that of a cell sees one step only.
    """
    activation = getattr(layer, "activation", None)
    if is_third_party(layer) or hasattr(layer, "cell") or activation is None:
        return None
    return _why_not_activation(activation, 3)


def is_third_party(operation):
    """Whether `operation` is neither Keras' nor ours, so that nothing is known about it."""
    return type(operation).__module__.partition(".")[0] not in ("keras", "keras_hub", "keras_seq")


def is_reshape(operation):
    """Whether `operation` is the layer or the op that reshapes."""
    return type(operation).__name__ == "Reshape" and not is_third_party(operation)


def _depends(x, on_target):
    return isinstance(x, keras.KerasTensor) and on_target(x)


def _why_not_reshape(x, y):
    features = [shape[2:] for shape in (x.shape, y.shape)]
    known = all(None not in shape for shape in features)
    if known and x.shape[:2] == y.shape[:2] and math.prod(features[0]) == math.prod(features[1]):
        return None
    return f"it reshapes {tuple(x.shape)} to {tuple(y.shape)}, across time steps"


def _why_not_attention(layer, args, kwargs, on_target):
    bound = inspect.signature(layer.call).bind(*args, **kwargs).arguments
    masks = {name: bound.pop(name, None) for name in ("mask", "query_mask", "attention_mask")}
    causal = bound.pop("use_causal_mask", False)
    flat = keras.tree.flatten(list(bound.values()))
    query, *others = [x for x in flat if isinstance(x, keras.KerasTensor)]
    if not on_target(query) or any(map(on_target, others)):
        return "it attends to the target sequence, whose later steps are not there yet"
    if masks["attention_mask"] is not None:
        return MASK_OF_CONTEXT
    return CAUSAL_TO_CONTEXT if causal else None


def _is_product_with_context(operation, args, on_target):
    """Whether each step, as a row of a matrix, is multiplied with what is there before it."""
    if type(operation).__name__ != "Matmul" or not _depends(args[0], on_target):
        return False
    rank, other = len(args[0].shape), len(getattr(args[1], "shape", ()))
    return not _depends(args[1], on_target) and rank >= 3 and (other == 2 or other == rank == 3)


def _why_not_axes(operation, is_layer, args, rank):
    name = type(operation).__name__
    if name == "TimeDistributed":
        return _why_not_distributed(operation.layer)
    if name in (_LAYERS if is_layer else _ELEMENTWISE_OPS):
        return None
    if is_layer and name in _LAST_AXIS_LAYERS:
        return _why_not_last_axis(operation, rank)
    if name in (_AXIS_LAYERS if is_layer else _AXIS_OPS):
        return _why_not_axis(getattr(operation, "axis", None), rank)
    if name in _NEW_AXIS_OPS and not is_layer:
        return _why_not_axis(operation.axis, rank + 1)
    if name == "PReLU":
        return _why_not_parametric(operation)
    if name == "Permute" and operation.dims[0] == 1:
        return None
    if name == "Transpose" and operation.axes is not None and tuple(operation.axes[:2]) == (0, 1):
        return None
    if name == "GetItem" and _keeps_batch_and_time(args[1], rank):
        return None
    return "it is not known to act on each time step alone"


def _why_not_distributed(layer):
    """Each time step goes through the layer as a batch of its own."""
    if getattr(layer, "stateful", False):
        return "its layer keeps a state from call to call"
    return None


def _why_not_parametric(layer):
    if 1 in (layer.shared_axes or ()):
        return None
    return "it has weights for each time step (share them over the time: PReLU(shared_axes=[1]))"


def _why_not_last_axis(layer, rank):
    if rank < 3:
        return f"it works along the last axis of a rank-{rank} tensor, which is the time"
    reason = _why_not_activation(getattr(layer, "activation", None), rank)
    if reason is not None:
        return reason
    equation = getattr(layer, "equation", None)
    if equation is None:
        return None
    inputs, output = equation.split("->")
    x, kernel = inputs.split(",")
    if x.startswith("...") and output.startswith("...") and len(x) == 4:
        bias_axes = layer.bias_axes or ""
        return None if len(bias_axes) < 2 else f"its bias has the axes {bias_axes!r}"
    if len(x) >= 3 and x[1] not in kernel and output[1:2] == x[1]:
        if x[1] in (layer.bias_axes or ""):
            return f"its bias has an axis of time, {x[1]!r} of bias_axes={layer.bias_axes!r}"
        return None
    return f"its equation {equation!r} does not keep the time axis in place"


def _why_not_activation(activation, rank):
    """Of an `activation` on a tensor (B, T, ...) of `rank` axes."""
    if activation is None or any(activation is f for f in _registered_functions):
        return None
    if isinstance(activation, keras.Operation):
        name, is_layer = type(activation).__name__, isinstance(activation, keras.layers.Layer)
        if isinstance(activation, tuple(_registered)):
            return None
        if not is_third_party(activation):
            if name == "PReLU":
                return _why_not_parametric(activation)
            if name in ("LogSoftmax", "Softmax"):
                return _why_not_axis(activation.axis, rank)
            if name in (_LAYERS - {"TimeDistributed"} if is_layer else _ELEMENTWISE_OPS):
                return _why_not_attributes(activation, rank)
            if name == "Activation":
                return _why_not_activation(activation.activation, rank)
        return f"nothing says that its activation {name} acts on each time step alone"
    name = getattr(activation, "__name__", type(activation).__name__)
    known = name in _ELEMENTWISE_FUNCTIONS or name in _LAST_AXIS_FUNCTIONS
    if known and getattr(activation, "__module__", "").startswith(("keras.", "keras_seq.")):
        return None
    return f"nothing says that its activation {name} acts on each time step alone"


def _why_not_axis(axis, rank):
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    if all(a is not None and (a if a >= 0 else a + rank) >= 2 for a in axes):
        return None
    return f"it works along axis {axis} of a rank-{rank} tensor, which takes in the batch or time"


def _keeps_batch_and_time(key, rank):
    key = list(key) if isinstance(key, tuple) else [key]
    if key[0] is Ellipsis:
        return sum(k is not None for k in key[1:]) <= rank - 2
    return key[:2] == [slice(None)] * 2


def _why_not_operands(operands, on_target, rank, merges_ranks):
    """Constants and context must not have a time axis: a step would need a slice of them."""
    for x in operands:
        if _depends(x, on_target):
            continue
        missing = rank - len(x.shape)
        time = 1 - missing  # shapes are aligned at their ends
        if time < 0 or (missing and merges_ranks) or x.shape[time] == 1:
            continue
        return (
            f"one of its inputs, of shape {tuple(x.shape)}, does not depend on the target but has "
            "a time axis of its own (an input that comes step by step with the target is a target, "
            "too: Stepper(model, target=[...]); what is the same at all steps needs an axis of 1)"
        )
    return None


def _why_not_attributes(operation, rank):
    """Arrays that an operation keeps, such as bounds of a clip, must not have a time axis."""
    for name, value in vars(operation).items():
        if name.startswith("_") or isinstance(value, (str, keras.Variable)):
            continue
        is_list = isinstance(value, (list, tuple)) and len(value) > 0
        if is_list and name not in ("scale", "offset", "mean", "variance"):
            continue
        if is_list:
            value = np.asarray(value, "float32")
        if not hasattr(value, "dtype") or not hasattr(value, "shape"):
            continue
        time = 1 - (rank - len(value.shape))
        if time >= 0 and value.shape[time] != 1:
            return f"its `{name}`, of shape {tuple(value.shape)}, has a time axis"
    return None
