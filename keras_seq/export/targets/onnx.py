"""`to_onnx`: a functional model as an ONNX file, recurrences as ONNX's own operators."""

import pathlib
import tempfile

from keras_seq.export._digest import add_onnx_digest, check_file_digest
from keras_seq.export._exported_model import ExportedModel, check_functional
from keras_seq.export._process import WORKERS, run_artifact
from keras_seq.export._requirements import check_package
from keras_seq.export._target import ExportTarget, export_to, register_target
from keras_seq.export.report import ExportError
from keras_seq.export.targets import (  # noqa: F401  (which register their emitters)
    _onnx_attention,
    _onnx_layers,
    _onnx_operations,
    _onnx_quantizers,
    _onnx_recurrent,
)
from keras_seq.export.targets._onnx_graph import _onnx_dtype, model_graph
from keras_seq.generation.generator import Generator

_TOLERANCE = {None: 1e-4, "int8": 0.1}
_OPSET, _IR_VERSION = 17, 8  # of 2022: runtimes of the last years read it


def to_onnx(model, path, *, quantization=None, inputs=None, atol=None):
    """Export a functional model as an ONNX file.

    The file takes the model's inputs by name and gives its outputs by name; the batch, and every
    dimension that the model leaves open, are open. LSTM, GRU and SimpleRNN, of keras_seq and of
    Keras, alone, in `Bidirectional` or running backwards, are ONNX's own operators, which ONNX
    Runtime computes faster than a loop. Masks act as in Keras, padding anywhere in a row included.
    Layers with no function that writes them are refused by name; `register_onnx` adds one.

    It is written to a temporary place and run by ONNX Runtime in a process of its own. Its outputs
    are compared with the Keras model's own call; the file appears at `path` only if they agree.

    Args:
        model: functional or built Sequential `keras.Model`.
        path: of the file. An ONNX file that exists there is replaced.
        quantization: `None` (float32), or `"int8"`: weights of 8 bits, activations rounded as they
            come, as ONNX Runtime's dynamic quantization does. Its LSTM has such a form, its GRU has
            none and stays in float32.
        inputs: arrays to compare on, a dict by name or one array; random ones if `None`.
        atol: tolerance of outputs, relative to an output's largest number where that is above 1;
            1e-4 if `None`, 0.1 with int8.

    Returns:
        `ExportReport`; its latency is that of one thread.

    Raises:
        TypeError: if `model` has no graph.
        ValueError: if a layer cannot be written, which is named, or an argument is wrong.
        ImportError: without onnx and onnxruntime.
        ExportError: if the file cannot be written, loaded or run, or does not agree with the model.
            Then no file is left.

    Example:

    ```python
    import keras
    import numpy as np
    import onnxruntime
    import keras_seq

    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras.layers.Embedding(30, 8, mask_zero=True)(ids)
    x = keras_seq.layers.LSTM(16)(x)
    model = keras.Model(ids, keras.layers.Dense(2, name="logits")(x))
    print(keras_seq.export.to_onnx(model, "classifier.onnx"))

    session = onnxruntime.InferenceSession("classifier.onnx")
    (logits,) = session.run(["logits"], {"ids": np.array([[5, 6, 7, 0]], "int32")})
    ```
    """
    return export_to(Onnx(), model, path, quantization=quantization, inputs=inputs, atol=atol)


class Onnx(ExportTarget):
    """An ONNX file; see `to_onnx`."""

    format = "ONNX"

    def prepare(self, model, quantization=None, inputs=None, atol=None):
        check_package("to_onnx", "onnx", "onnxruntime", extra="onnx")
        if quantization not in _TOLERANCE:
            raise ValueError(
                f"`quantization` of to_onnx must be None or 'int8'. Received: {quantization!r}"
            )
        if isinstance(model, Generator):
            raise TypeError(
                "to_onnx exports functional models, and no search. Received: Generator. Export its "
                "`model`, or the generator with to_litert or to_saved_model."
            )
        check_functional(model)
        exported = ExportedModel(model, inputs, _TOLERANCE[quantization] if atol is None else atol)
        both = sorted(set(exported.names) & set(exported.output_names))
        if both:
            raise ValueError(
                "to_onnx needs other names of outputs than of inputs. Give the model a dict of "
                f"outputs by name. Received: outputs {both}"
            )
        exported.options = {
            "quantization": quantization,
            "graph": model_graph(model, exported.names),
        }
        return exported

    def prepare_existing(self, path, model, **options):
        ops = run_artifact(_RUN, path, [], what="read the ONNX file").facts["ops"]
        int8 = any(op.startswith("Dynamic") for op in ops)
        return self.prepare(model, quantization="int8" if int8 else None, **options)

    def recognizes(self, path):
        """A file that begins as ONNX's protocol buffers do: field 1, the version, then field 2."""
        if not path.is_file():
            return False
        with open(path, "rb") as file:
            start = file.read(3)
        return start[:1] == b"\x08" and start[2:] in (b"\x12", b":")

    def write(self, exported, path):
        import onnx

        with tempfile.TemporaryDirectory() as folder:
            plain = pathlib.Path(folder) / "model.onnx"
            onnx.save(_model_proto(exported), plain)
            if exported.options["quantization"] is None:
                path.write_bytes(plain.read_bytes())
                return
            from onnxruntime.quantization import QuantType, quantize_dynamic

            quantize_dynamic(plain, path, weight_type=QuantType.QInt8)

    def add_digest(self, path):
        add_onnx_digest(path)

    def check_digest(self, path):
        check_file_digest(path)

    def run(self, exported, path):
        return run_artifact(_RUN, path, exported.calls, what="run the ONNX file")


_RUN = WORKERS / "run_onnx.py"
register_target("onnx", Onnx())


def _model_proto(exported):
    """The ONNX model, checked."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph, inputs, outputs = exported.options["graph"]

    def info(name, value):
        shape = [
            n if n is not None else "batch" if axis == 0 else f"{name}_{axis}"
            for axis, n in enumerate(value.shape)
        ]
        dtype = getattr(TensorProto, _onnx_dtype(value.dtype))
        return helper.make_tensor_value_info(name, dtype, shape)

    named = [
        helper.make_node("Identity", [value.name], [name])
        for name, value in zip(exported.output_names, outputs, strict=True)
    ]
    model = helper.make_model(
        helper.make_graph(
            [*graph.nodes, *named],
            exported.model.name,
            [info(value.name, value) for value in inputs],
            [info(n, value) for n, value in zip(exported.output_names, outputs, strict=True)],
            [numpy_helper.from_array(array, name) for name, array in graph.initializers.items()],
        ),
        producer_name="keras_seq",
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"The ONNX model is not valid: {str(error)[:500]}") from error
    return model
