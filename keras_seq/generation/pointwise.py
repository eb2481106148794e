"""Which Keras layers and operations act on each time step alone, so that a step may call them."""

import keras

# Layers that treat (B, 1, D) as they treat each step of (B, T, D), whatever their arguments.
_POINTWISE_LAYERS = {
    "Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average", "CategoryEncoding",
    "Dense", "Discretization", "Dropout", "ELU", "Embedding", "GaussianDropout", "GaussianNoise",
    "Identity", "LeakyReLU", "Masking", "Maximum", "Minimum", "Multiply", "ReLU", "Rescaling",
    "ReversibleEmbedding", "Subtract", "TimeDistributed",
}  # fmt: skip

# Layers that do so as long as they look along the features only.
_POINTWISE_ALONG_FEATURES = {
    "Concatenate", "LayerNormalization", "RMSNormalization", "Softmax", "UnitNormalization",
}  # fmt: skip

# Operations of `keras.ops` that are elementwise.
_ELEMENTWISE_OPS = {
    "Abs", "Absolute", "Add", "Arctan", "Cast", "Ceil", "Clip", "Cos", "Divide", "DivideNoNan",
    "Elu", "Equal", "Erf", "Exp", "Expm1", "Floor", "FloorDivide", "Gelu", "Greater",
    "GreaterEqual", "HardSigmoid", "HardSilu", "HardTanh", "Identity", "LeakyRelu", "Less",
    "LessEqual", "Log", "Log1p", "LogSigmoid", "LogicalAnd", "LogicalNot", "LogicalOr", "Maximum",
    "Minimum", "Mod", "Multiply", "Negative", "NotEqual", "OnesLike", "Power", "Reciprocal", "Relu",
    "Relu6", "Rsqrt", "Selu", "Sigmoid", "Sign", "Silu", "Sin", "Softplus", "Softsign", "Sqrt",
    "Square", "StopGradient", "Subtract", "Tanh", "TrueDivide", "Where", "ZerosLike",
}  # fmt: skip

# Operations that look along one axis, given as `axis`.
_OPS_ALONG_AXIS = {"Concatenate", "LayerNorm", "LogSoftmax", "RMSNorm", "Softmax", "Split"}
_REDUCTIONS = {"Amax", "Amin", "Max", "Mean", "Min", "Std", "Sum", "Var", "Any", "All", "Logsumexp"}

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

    @keras_seq.generation.register_pointwise
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


def why_not_pointwise(operation, args, kwargs, output):
    """`None` if `operation` acts on each time step alone, else the reason why not.

    Args:
        operation: a Keras layer or op.
        args, kwargs: the symbolic arguments of the call in the graph.
        output: the symbolic output of the call.
    """
    if isinstance(operation, tuple(_registered)):
        return None
    name = type(operation).__name__
    from_keras = type(operation).__module__.partition(".")[0] in ("keras", "keras_hub")
    if not from_keras:
        return "it has no `step`, and nothing says that it acts on each time step alone"
    if isinstance(operation, keras.layers.Layer):
        if name in _POINTWISE_LAYERS:
            return _why_not_over_time(output)
        if name in _POINTWISE_ALONG_FEATURES:
            return _why_not_along_features(getattr(operation, "axis", -1), output)
        if name == "EinsumDense":
            return _why_not_einsum(operation.equation)
        return "it is not known to act on each time step alone"
    if name in _ELEMENTWISE_OPS:
        return _why_not_over_time(output)
    if name in _OPS_ALONG_AXIS:
        return _why_not_along_features(getattr(operation, "axis", -1), output)
    if name in _REDUCTIONS:
        if getattr(operation, "axis", None) is None or not getattr(operation, "keepdims", False):
            return "it reduces without `axis=-1, keepdims=True`, so it mixes or drops time steps"
        return _why_not_along_features(operation.axis, output)
    if name in ("Matmul", "Dot") and len(args) > 1 and not isinstance(args[1], keras.KerasTensor):
        return None  # a product with a constant matrix
    return "it is not known to act on each time step alone"


def _why_not_over_time(output):
    rank = len(keras.tree.flatten(output)[0].shape)
    return None if rank >= 2 else f"its output has rank {rank}, without a time axis"


def _why_not_along_features(axis, output):
    rank = len(keras.tree.flatten(output)[0].shape)
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    if all((a if a >= 0 else a + rank) >= 2 for a in axes):
        return None
    return f"it works along axis {axis} of a rank-{rank} tensor, which is the batch or the time"


def _why_not_einsum(equation):
    inputs, output = equation.split("->")
    x, kernel = inputs.split(",")
    if len(x) >= 3 and x[1] not in kernel and len(output) >= 2 and output[1] == x[1]:
        return None
    return f"its equation {equation!r} does not keep the time axis in place"
