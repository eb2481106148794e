"""An ONNX graph that grows operator by operator, and the table of who writes which layer."""

import inspect

import keras
import numpy as np

from keras_seq.layers import SequenceLayer
from keras_seq.stepping._graph import Call, Enter, Graph
from keras_seq.stepping._keras_private import functional_of, is_functional

_EMITTERS = {}  # layer or operation class to emitter
_UNKNOWN = object()  # the mask of a value that its emitter says nothing about


class OnnxValue:
    """A tensor of the ONNX graph.

    Attributes:
        name: in the graph.
        shape: as Keras knows it, `None` for open dimensions; `None` inside a layer.
        dtype: Keras' name; `None` inside a layer.
        mask: `OnnxValue` (B, T) of booleans that goes with it, or `None`.
    """

    def __init__(self, name, shape=None, dtype=None, mask=_UNKNOWN):
        self.name, self.shape, self.dtype, self._mask = name, shape, dtype, mask

    @property
    def mask(self):
        return None if self._mask is _UNKNOWN else self._mask

    def with_mask(self, mask):
        """The same tensor with another mask, or with none."""
        return OnnxValue(self.name, self.shape, self.dtype, mask)


def register_onnx(layer_class):
    """Declare how `to_onnx` writes a layer, or an operation, of your own. A decorator.

    The function is called as `emit(graph, layer, *args, **kwargs)` with the arguments of the
    layer's call in the model, `OnnxValue`s in place of tensors, and gives an `OnnxValue`, or a list
    of them. It writes with

        graph.op("Name", x, y, attribute=...)   an ONNX operator, of opset 17; numbers, NumPy
                                                arrays and Keras variables become constants
        graph.emit(inner, x)                    another layer that to_onnx knows

    A mask is passed on as Keras' `supports_masking` says. Where the layer uses it, it is `x.mask`.

    Args:
        layer_class: the class; subclasses of it are registered for themselves.

    Returns:
        The decorator.

    Raises:
        TypeError: if `layer_class` is no class of layers or operations.

    Example:

    ```python
    import keras
    import keras_seq

    class Halve(keras.layers.Layer):
        def call(self, x):
            return x / 2

    @keras_seq.export.register_onnx(Halve)
    def emit(graph, layer, x):
        return graph.op("Mul", x, 0.5)

    x = keras.Input((3,), name="x")
    print(keras_seq.export.to_onnx(keras.Model(x, Halve(name="y")(x)), "model.onnx"))
    ```
    """
    if not (isinstance(layer_class, type) and issubclass(layer_class, keras.Operation)):
        raise TypeError(
            "`layer_class` of register_onnx must be a subclass of keras.layers.Layer. "
            f"Received: {layer_class!r}"
        )

    def decorator(emit):
        _EMITTERS[layer_class] = emit
        return emit

    return decorator


def emitter_of(operation):
    """The function that writes a layer or operation, or `None`."""
    found = _EMITTERS.get(type(operation))
    if found is None and type(operation).__module__.startswith("keras.src.ops"):
        found = _EMITTERS.get(type(operation).__name__)  # ops have no public classes
    return found


class OnnxGraph:
    """Nodes and constants of an ONNX graph; see `register_onnx`."""

    def __init__(self):
        self.nodes, self.initializers = [], {}
        self._count, self._weights = 0, {}

    def op(self, kind, *inputs, outputs=1, domain="", **attributes):
        """Add an operator.

        Args:
            kind: its name in ONNX.
            *inputs: `OnnxValue`s, numbers, arrays, Keras variables, or `None` for one left out.
            outputs: how many it has.
            domain: that of the operator.
            **attributes: of the operator.

        Returns:
            `OnnxValue`, or a list where `outputs` is not 1.
        """
        from onnx import helper

        names = [self._name(x) for x in inputs]
        given = [self._new_name(kind) for _ in range(outputs)]
        self.nodes.append(
            helper.make_node(kind, names, given, given[0], domain=domain, **attributes)
        )
        values = [OnnxValue(name) for name in given]
        return values if outputs != 1 else values[0]

    def emit(self, layer, *args, **kwargs):
        """Write another layer. Returns what its emitter gives."""
        if is_functional(layer):
            outputs = emit_model(self, layer, keras.tree.flatten(args))
            return outputs[0] if len(outputs) == 1 else outputs
        emit = emitter_of(layer)
        if emit is None:
            raise NotImplementedError(f"no function of register_onnx writes {type(layer).__name__}")
        kwargs = {n: v for n, v in kwargs.items() if n != "training" and _is_given(v)}
        try:
            bound = inspect.signature(emit).bind(self, layer, *args, **kwargs)
        except TypeError as error:
            raise NotImplementedError(
                f"it is called with an argument it has not there: {error}"
            ) from None
        return emit(*bound.args, **bound.kwargs)

    def ints(self, *numbers):
        """A constant vector of int64, for shapes and axes."""
        return np.array(numbers, "int64")

    def size(self, x, axis):
        """The size of an axis when the graph runs, int64 of shape ()."""
        return self.op("Gather", self.op("Shape", x), np.int64(axis))

    def range(self, size):
        """0 .. size - 1, int64, of a size that the graph computes."""
        return self.op("Range", np.int64(0), size, np.int64(1))

    def unsqueeze(self, x, *axes):
        return self.op("Unsqueeze", x, self.ints(*axes))

    def cast(self, x, dtype):
        from onnx import TensorProto

        return self.op("Cast", x, to=getattr(TensorProto, _onnx_dtype(dtype)))

    def _name(self, x):
        if x is None:
            return ""
        if isinstance(x, OnnxValue):
            return x.name
        if isinstance(x, keras.Variable):
            if id(x) not in self._weights:
                self._weights[id(x)] = self._constant(array_of(x), x.path.replace("/", "."))
            return self._weights[id(x)]
        array = np.asarray(x)
        return self._constant(array.astype("float32") if array.dtype == "float64" else array)

    def _constant(self, array, name="constant"):
        name = self._new_name(name)
        self.initializers[name] = array
        return name

    def _new_name(self, name):
        self._count += 1
        return f"{name}_{self._count}"


def array_of(weight):
    """A weight as an array, in float32 where it is a float."""
    array = keras.ops.convert_to_numpy(weight)
    return array if np.issubdtype(array.dtype, np.integer) else array.astype("float32")


def model_graph(model, names):
    """The graph of a functional model: `(OnnxGraph, inputs, outputs)`, lists of `OnnxValue`.

    Args:
        model: functional or built Sequential `keras.Model`.
        names: of its inputs, in order.

    Raises:
        ValueError: if a layer cannot be written, with its name.
    """
    graph, symbolic = OnnxGraph(), functional_of(model).inputs
    inputs = [OnnxValue(n, t.shape, t.dtype, None) for n, t in zip(names, symbolic, strict=True)]
    return graph, inputs, emit_model(graph, model, inputs)


def emit_model(graph, model, inputs):
    """Write the calls of a functional model, those of models inside it too; list of its outputs."""
    walked = Graph(model)
    values = dict(zip(walked.inputs, inputs, strict=True))
    for step in walked.steps:
        if isinstance(step, Call):
            _emit_call(graph, step, values)
        elif isinstance(step, Enter):
            values[step.key] = _entered(step, values)
        else:
            step.run(values)
    return [values[key] for key in walked.outputs]


def _emit_call(graph, call, values):
    args, kwargs = call.arguments(values)
    try:
        outputs = keras.tree.flatten(graph.emit(call.operation, *args, **kwargs))
    except NotImplementedError as reason:
        raise ValueError(
            f"to_onnx cannot write `{call.name}` ({type(call.operation).__name__}): {reason}. Say "
            "how with keras_seq.export.register_onnx, or export with to_litert or to_saved_model."
        ) from None
    mask = _passed_mask(call, args, outputs)
    for key, value, spec in zip(call.gives, outputs, call.node.outputs, strict=False):
        own = mask if value._mask is _UNKNOWN else value._mask
        values[key] = OnnxValue(value.name, spec.shape, spec.dtype, own)


def _passed_mask(step, args, outputs):
    """The mask that Keras attaches to outputs of which the emitter says nothing."""
    layer = step.operation
    given = [x.mask for x in keras.tree.flatten(args) if isinstance(x, OnnxValue)]
    if not isinstance(layer, keras.layers.Layer) or not layer.supports_masking or not any(given):
        return None
    plain = type(layer).compute_mask is keras.layers.Layer.compute_mask
    plain = plain or type(layer).compute_mask is SequenceLayer.compute_mask
    if not plain and any(value._mask is _UNKNOWN for value in outputs):
        raise ValueError(
            f"to_onnx cannot tell what `{step.name}` ({type(layer).__name__}) makes of its mask: "
            "its emitter must give values `.with_mask(...)`, see keras_seq.export.register_onnx."
        )
    return given[0]


def _entered(step, values):
    """The value of an input of a model inside the model."""
    x = values.get(step.value_key)
    if x is None or len(x.shape) != len(step.symbolic.shape) or x.dtype != step.symbolic.dtype:
        raise ValueError(
            f"to_onnx needs inputs of the model `{step.model.name}` inside the model to have the "
            f"shape and dtype of its input `{step.symbolic.name}`. Received: "
            f"{'a constant' if x is None else (x.shape, x.dtype)}"
        )
    return x if step.mask_key is None else x.with_mask(values[step.mask_key])


def _is_given(value):
    return value is not None and value is not False


def _onnx_dtype(dtype):
    """The name in `onnx.TensorProto`; half floats are float32."""
    dtype = keras.backend.standardize_dtype(dtype)
    halves = ("float16", "bfloat16", "float32", "float64")
    return "FLOAT" if dtype in halves else {"bool": "BOOL"}.get(dtype, dtype.upper())
