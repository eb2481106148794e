"""Which Keras layers and operations act on each time step alone, so that a step may call them."""

import inspect
import math

import keras

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


def register_pointwise(layer_class):
    """Declare that a layer of your own acts on each time step alone, so that it can be stepped.

    A layer is pointwise in time when `layer(x)[:, t]` depends on `x[:, t]` only, for every t. It
    may have several inputs. Usable as a decorator.

    Args:
        layer_class: a subclass of `keras.layers.Layer` (or `keras.Operation`).

    Returns:
        `layer_class`, unchanged.

    Raises:
        TypeError: if `layer_class` is not such a class.

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
    if not (isinstance(layer_class, type) and issubclass(layer_class, keras.Operation)):
        raise TypeError(
            "`layer_class` of register_pointwise must be a subclass of keras.layers.Layer. "
            f"Received: {layer_class!r}"
        )
    _registered.add(layer_class)
    return layer_class


def why_not_pointwise(operation, args, kwargs, outputs, depends):
    """`None` if `operation` acts on each time step alone, else the reason why not.

    The time is axis 1 of every tensor that depends on the target, so an operation acts on each step
    alone if it touches axes from 2 on only, and if nothing else that it reads has a time axis.

    Args:
        operation: a Keras layer or op.
        args, kwargs: the symbolic arguments of the call in the graph.
        outputs: what they give, symbolic.
        depends: ids of the symbolic tensors that depend on the target.
    """
    if isinstance(operation, tuple(_registered)):
        return None
    if is_foreign(operation):
        return "it has no `step`, and nothing says that it acts on each time step alone"
    operands = [x for x in keras.tree.flatten((args, kwargs)) if hasattr(x, "shape")]
    rank = max(len(x.shape) for x in operands if id(x) in depends)
    if rank < 2:
        return f"its input has rank {rank}, without a time axis"
    is_layer = isinstance(operation, keras.layers.Layer)
    if is_layer and type(operation).__name__ in _ATTENTIONS:
        return _why_not_attention(operation, args, kwargs, depends)
    if is_reshape(operation):
        return _why_not_reshape(args[0], outputs[0])
    if _is_product_with_context(operation, args, depends):
        return None
    return _why_not_axes(operation, is_layer, args, rank) or _why_not_operands(
        operands, depends, rank, merges_ranks=is_layer
    )


def is_foreign(operation):
    """Whether `operation` is neither Keras' nor ours, so that nothing is known about it."""
    return type(operation).__module__.partition(".")[0] not in ("keras", "keras_hub", "keras_seq")


def is_reshape(operation):
    """Whether `operation` is the layer or the op that reshapes."""
    return type(operation).__name__ == "Reshape" and not is_foreign(operation)


def _why_not_reshape(x, y):
    features = [shape[2:] for shape in (x.shape, y.shape)]
    known = all(None not in shape for shape in features)
    if known and x.shape[:2] == y.shape[:2] and math.prod(features[0]) == math.prod(features[1]):
        return None
    return f"it reshapes {tuple(x.shape)} to {tuple(y.shape)}, across time steps"


def _why_not_attention(layer, args, kwargs, depends):
    bound = inspect.signature(layer.call).bind(*args, **kwargs).arguments
    masks = {name: bound.pop(name, None) for name in ("mask", "query_mask", "attention_mask")}
    causal = bound.pop("use_causal_mask", False)
    flat = keras.tree.flatten(list(bound.values()))
    query, *others = [x for x in flat if isinstance(x, keras.KerasTensor)]
    if id(query) not in depends or any(id(x) in depends for x in others):
        return "it attends to the target sequence, whose later steps are not there yet"
    if masks["attention_mask"] is not None:
        return MASK_OF_CONTEXT
    return CAUSAL_TO_CONTEXT if causal else None


def _is_product_with_context(operation, args, depends):
    """Whether each step, as a row of a matrix, is multiplied with what is there before it."""
    if type(operation).__name__ != "Matmul" or id(args[0]) not in depends:
        return False
    rank, other = len(args[0].shape), len(getattr(args[1], "shape", ()))
    return id(args[1]) not in depends and rank >= 3 and (other == 2 or other == rank == 3)


def _why_not_axes(operation, is_layer, args, rank):
    name = type(operation).__name__
    if name in (_LAYERS if is_layer else _ELEMENTWISE_OPS):
        return None
    if is_layer and name in _LAST_AXIS_LAYERS:
        return _why_not_last_axis(operation, rank)
    if name in (_AXIS_LAYERS if is_layer else _AXIS_OPS):
        return _why_not_axis(getattr(operation, "axis", None), rank)
    if name in _NEW_AXIS_OPS and not is_layer:
        return _why_not_axis(operation.axis, rank + 1)
    if name == "PReLU" and 1 in (operation.shared_axes or ()):
        return None
    if name == "Permute" and operation.dims[0] == 1:
        return None
    if name == "Transpose" and operation.axes is not None and tuple(operation.axes[:2]) == (0, 1):
        return None
    if name == "GetItem" and _keeps_batch_and_time(args[1], rank):
        return None
    return "it is not known to act on each time step alone"


def _why_not_last_axis(layer, rank):
    if rank < 3:
        return f"it works along the last axis of a rank-{rank} tensor, which is the time"
    activation = getattr(layer, "activation", None)
    if activation is not None and not getattr(activation, "__module__", "").startswith("keras."):
        return "nothing says that its activation acts on each time step alone"
    equation = getattr(layer, "equation", None)
    if equation is None:
        return None
    inputs, output = equation.split("->")
    x, kernel = inputs.split(",")
    if x.startswith("...") and output.startswith("...") and len(x) == 4:
        return None
    if len(x) >= 3 and x[1] not in kernel and output[1:2] == x[1]:
        return None
    return f"its equation {equation!r} does not keep the time axis in place"


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


def _why_not_operands(operands, depends, rank, merges_ranks):
    """Constants and context must not have a time axis: a step would need a slice of them."""
    for x in operands:
        if id(x) in depends:
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
