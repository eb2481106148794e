"""From an `ExportedFunction` to a LiteRT file: traced, converted in a process of its own."""

import pathlib
import tempfile

from keras_seq.export._model_call import layers_of
from keras_seq.export._process import WORKERS, ScriptError, run_script
from keras_seq.export.report import ExportError
from keras_seq.export.targets._litert_errors import conversion_error
from keras_seq.export.targets._quantization import QUANTIZATIONS
from keras_seq.generation.generator import Generator

_CONVERT = WORKERS / "convert_litert.py"


def convert(exported, path):
    """Write the LiteRT file of `exported`; its options are `quantize` and `recurrence`."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder) / "model"
        _save_function(exported, folder)
        arguments = ",".join(exported.functions()), exported.options.get("quantize") or "float32"
        try:
            run_script(_CONVERT, folder, path, *arguments, what="convert the model to LiteRT")
        except ScriptError as error:
            layers = list(layers_of(exported.keras_model))
            is_open = any(None in shape for shape, _ in exported.specs().values())
            raise ExportError(conversion_error(error, layers, is_open)) from None


def _save_function(exported, folder):
    """Write a SavedModel with all signatures, recurrences in the form that is asked for."""
    import tensorflow as tf

    from keras_seq.export.targets._lstm_fusion import recurrences_in_form

    is_generator = isinstance(exported.model, Generator)
    module = tf.Module()
    module.weights = [v.value for v in exported.keras_model.variables]
    module.functions, signatures = [], {}
    form = "loop" if is_generator else exported.options.get("recurrence")
    weight_bytes = QUANTIZATIONS[exported.options.get("quantize")].weight_bytes
    with recurrences_in_form(form, weight_bytes):
        for name, (function, specs) in exported.functions().items():
            traced = tf.function(function, autograph=False)
            tensors = {n: tf.TensorSpec(shape, dtype, n) for n, (shape, dtype) in specs.items()}
            module.functions.append(traced)
            signatures[name] = traced.get_concrete_function(**tensors)
    tf.saved_model.save(module, str(folder), signatures=signatures)


def check_ops(ops, recurrence):
    """Raise unless the operators of a file are built in and the form of recurrences holds."""
    custom = sorted(op for op in ops if not op.isupper())  # custom ops are in CamelCase
    if custom:
        raise ExportError(f"The LiteRT file needs operators that are not built in: {custom}")
    if recurrence == "fused" and "UNIDIRECTIONAL_SEQUENCE_LSTM" not in ops:
        raise ExportError(
            "No layer of the model can take the form `recurrence='fused'`: it is for keras_seq's "
            "LSTM with tanh and sigmoid, a fixed batch, and neither mask nor state. Leave the "
            "choice to to_litert with `recurrence=None`."
        )
    if recurrence == "fused" and "WHILE" in ops:
        # The converter makes equal zeros one tensor: the loop would start from the operator's last
        # state (measured from the second call on).
        raise ExportError(
            "The form `recurrence='fused'` must be that of all recurrent layers of a file, and "
            "some layers of the model cannot take it. Export with `recurrence=None`."
        )
