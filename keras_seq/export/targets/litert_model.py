"""`model_to_litert`: a model over features or ids as a LiteRT (TFLite) file."""

import dataclasses
import json
import pathlib
import tempfile

import keras
import numpy as np

from keras_seq.export._files import is_file, size_of, written_beside
from keras_seq.export._process import run_worker
from keras_seq.export._requirements import check_tensorflow
from keras_seq.export.report import ExportError, ExportReport
from keras_seq.export.targets._exported_model import ExportedModel
from keras_seq.export.targets.litert import _check_runtime
from keras_seq.layers._arguments import check_positive
from keras_seq.stepping._keras_private import is_functional

_TOLERANCE = {None: 1e-5, "int8": 0.1}


@dataclasses.dataclass(frozen=True)
class ModelReport(ExportReport):
    """An `ExportReport` of a model that gives numbers, not tokens.

    Attributes:
        values: how many numbers were compared.
        atol: largest difference that was let pass.
    """

    values: int = 0
    atol: float = 0.0

    @property
    def agrees(self):
        """Whether numbers were compared and none differs by more than `atol`."""
        return self.values > 0 and self.largest_difference <= self.atol

    def rows(self):
        """The table, as pairs of name and value."""
        rows = dataclasses.replace(self, inputs=0)
        return [
            *ExportReport.rows(rows),
            ("calls compared", f"{self.inputs:,}"),
            ("numbers compared", f"{self.values:,}"),
            ("largest difference", f"{self.largest_difference:.1e} (allowed: {self.atol:g})"),
            ("latency, one call", f"{self.latency:.2f} ms"),
            ("the model's own graph", f"{self.model_latency:.2f} ms"),
        ]


def model_to_litert(
    model,
    path,
    time=None,
    batch_size=1,
    streaming=False,
    quantize=None,
    inputs=None,
    atol=None,
    max_length=None,
    recurrence=None,
):
    """Export a model over features or token ids as a LiteRT file of built-in operators.

    Before the file is put in place it is run in a process of its own, with LiteRT and NumPy alone,
    and its outputs are compared with the Keras model's.

    The signature `serve` takes the model's inputs by name and gives its outputs by name. With
    `streaming=True` the signature is `step`: it also takes `state_0`, `state_1`, ... and gives them
    back under the same names. A client begins with zeros and passes on what the last chunk gave.

    Args:
        model: functional or built Sequential `keras.Model`.
        path: of the file, by custom ending in `.tflite`. A file that stands there is replaced.
        time: T, the number of time steps, or of a chunk; `None` leaves it open where the model
            does.
        batch_size: B of the file; `None` leaves it open where the model does.
        streaming: let a client call chunk after chunk. The model needs one input, and layers that
            can be stepped.
        quantize: "int8" makes large weights 8 bits wide (dynamic range: activations stay float32),
            `None` leaves them as they are.
        inputs: arrays to compare on, a dict by name or one array, with rows and lengths that the
            file takes; random ones if `None`.
        atol: largest difference that is let pass, as a share of the output's largest number where
            that is above 1. If `None`: 1e-5, with int8 weights 0.1.
        max_length: largest number of time steps of a stream; needed where the model attends.
        recurrence: form of the recurrent layers: "loop", an int (time steps a turn of the loop,
            which costs more than a small step), or "fused" (LiteRT's LSTM operator where the batch
            is fixed and there is neither mask nor state; the smallest file). `None` chooses by
            size what was fastest when measured.

    Returns:
        `ModelReport`, an `ExportReport`.

    Raises:
        TypeError: if `model` has no graph.
        ValueError: if an argument is out of range, does not fit the model, or the model cannot be
            streamed.
        ExportError: if the file cannot be written, converted, loaded or run, needs operators that
            are not built in, or does not agree with the model. Then no file is left.

    Example:

    ```python
    import tempfile

    import keras
    import keras_seq

    x = keras.Input((None, 4), name="x")
    model = keras.Model(x, keras_seq.layers.GRU(8, return_sequences=True, name="y")(x))
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.tflite"
        print(keras_seq.export.model_to_litert(model, path, time=10, streaming=True))
    ```
    """
    check_tensorflow("model_to_litert")
    _check_runtime()
    _check_arguments(model, time, batch_size, quantize, max_length, recurrence)
    atol = _TOLERANCE[quantize] if atol is None else atol
    exported = ExportedModel(model, time, batch_size, streaming, max_length)
    calls, whole = exported.calls(inputs)
    with written_beside(path, is_file) as file, tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        _save_function(exported, recurrence, quantize, folder / "model")
        run_worker(
            "convert_litert_model", folder / "model", file, exported.signature,
            quantize or "float32", what="convert the model to LiteRT",
        )  # fmt: skip
        arrays = {f"{i}:{name}": a for i, call in enumerate(calls) for name, a in call.items()}
        np.savez(folder / "inputs.npz", **arrays)
        run_worker(
            "run_litert_model", file, exported.signature, folder / "inputs.npz",
            folder / "outputs.npz", 20, what="run the LiteRT file",
        )  # fmt: skip
        got = dict(np.load(folder / "outputs.npz"))
        facts = json.loads(str(got.pop("report")))
        _check_ops(facts["ops"], recurrence)
        difference, values = exported.compare(got, len(calls), whole, atol)
        return ModelReport(
            format="LiteRT",
            path=str(path),
            size=size_of(file),
            inputs=len(calls),
            largest_difference=difference,
            values=values,
            atol=atol,
            model_latency=exported.model_latency(calls[0]),
            **facts,
        )


def _save_function(exported, recurrence, quantize, folder):
    """Write a SavedModel with the one signature, recurrences in the form that is asked for."""
    import tensorflow as tf

    from keras_seq.export.targets._lstm_fusion import recurrences_in_form

    module = tf.Module()
    module.weights = [v.value for v in exported.model.variables]
    module.run = tf.function(exported.__call__, autograph=False)
    specs = {n: tf.TensorSpec(shape, dtype, n) for n, (shape, dtype) in exported.specs().items()}
    with recurrences_in_form(recurrence, weight_bytes=1 if quantize else 4):
        signature = module.run.get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder), signatures={exported.signature: signature})


def _check_ops(ops, recurrence):
    foreign = sorted(op for op in ops if not op.isupper())  # custom ops are in CamelCase
    if foreign:
        raise ExportError(f"The LiteRT file needs operators that are not built in: {foreign}")
    if recurrence == "fused" and "UNIDIRECTIONAL_SEQUENCE_LSTM" not in ops:
        raise ExportError(
            "No layer of the model can take the form `recurrence='fused'`: it is for keras_seq's "
            "LSTM with tanh and sigmoid, a fixed batch, and neither mask nor state. Leave the "
            "choice to model_to_litert with `recurrence=None`."
        )
    if recurrence == "fused" and "WHILE" in ops:
        # The converter makes equal zeros one tensor: the loop would start from the operator's last
        # state (seen from the second call on).
        raise ExportError(
            "The form `recurrence='fused'` must be that of all recurrent layers of a file, and "
            "some layers of the model cannot take it. Export with `recurrence=None`."
        )


def _check_arguments(model, time, batch_size, quantize, max_length, recurrence):
    if not is_functional(model):
        raise TypeError(
            "`model` of model_to_litert must be a functional or built Sequential keras.Model. "
            f"Received: {type(model).__name__}. Export a generator with keras_seq.export.to_litert."
        )
    sizes = {"time": time, "batch_size": batch_size, "max_length": max_length}
    check_positive("model_to_litert", **{n: size for n, size in sizes.items() if size is not None})
    if quantize not in _TOLERANCE:
        raise ValueError(
            f"`quantize` of model_to_litert must be None or 'int8'. Received: {quantize!r}"
        )
    whole = isinstance(recurrence, int) and not isinstance(recurrence, bool) and recurrence > 0
    if not whole and recurrence not in (None, "loop", "fused"):
        raise ValueError(
            "`recurrence` of model_to_litert must be None, 'loop', 'fused' or the number of time "
            f"steps a turn of the loop, an int of at least 1. Received: {recurrence!r}"
        )
    stateful = [layer.name for layer in _layers(model) if getattr(layer, "stateful", False)]
    if stateful:
        raise ValueError(
            f"model_to_litert exports no stateful layers. Received: {stateful}. Build them with "
            "`stateful=False` and export with `streaming=True`."
        )


def _layers(model):
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
