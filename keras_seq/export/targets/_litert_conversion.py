"""From an `ExportedFunction` to a LiteRT file: traced, converted in a process of its own."""

import pathlib
import tempfile

import numpy as np

from keras_seq.export._model_call import layers_of
from keras_seq.export._process import WORKERS, ScriptError, run_script
from keras_seq.export.report import ExportError
from keras_seq.export.targets._litert_errors import conversion_error
from keras_seq.export.targets._quantization import QUANTIZATIONS
from keras_seq.generation.generator import Generator

_ALL_STEPS = 2**20  # in an iteration: written out, where the number of time steps is known
_CONVERT = WORKERS / "convert_litert.py"


def convert(exported, path):
    """Write the LiteRT file of `exported`; its options are `quantize`, `recurrence` and, for int8,
    `representative_calls`.
    """
    quantize = exported.options.get("quantize")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        signatures = _save_functions(exported, folder / "model")
        arguments = [folder / "model", path, ",".join(signatures), quantize or "float32"]
        if quantize == "int8":
            (function,) = signatures.values()
            _check_no_loop(function)
            arguments.append(folder / "data.npz")
            np.savez(arguments[-1], **_complete(function, exported.options["representative_calls"]))
        try:
            run_script(_CONVERT, *arguments, what="convert the model to LiteRT")
        except ScriptError as error:
            layers = list(layers_of(exported.keras_model))
            is_open = any(None in shape for shape, _ in exported.specs().values())
            raise ExportError(conversion_error(error, layers, is_open)) from None


def _save_functions(exported, folder):
    """Write a SavedModel with all signatures, recurrences in the form that is asked for.

    Returns:
        Dict from signature to concrete function.
    """
    import tensorflow as tf

    from keras_seq.export.targets._lstm_fusion import recurrences_in_form

    is_generator = isinstance(exported.model, Generator)
    module = tf.Module()
    module.weights = [v.value for v in exported.keras_model.variables]
    module.functions, signatures = [], {}
    form, quantize = (exported.options.get(name) for name in ("recurrence", "quantize"))
    if is_generator:
        form = "loop"
    elif quantize == "int8" and form is None:
        form = _ALL_STEPS
    weight_bytes = QUANTIZATIONS[quantize].weight_bytes
    with recurrences_in_form(form, weight_bytes):
        for name, (function, specs) in exported.functions().items():
            traced = tf.function(function, autograph=False)
            tensors = {n: tf.TensorSpec(shape, dtype, n) for n, (shape, dtype) in specs.items()}
            module.functions.append(traced)
            signatures[name] = traced.get_concrete_function(**tensors)
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return signatures


def _check_no_loop(function):
    """Raise where there is a loop: the converter crashes when it is to measure the numbers inside
    one (TensorFlow 2.21).
    """
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    loops = [node.name for node in nodes if node.op.endswith("While")]
    if loops:
        raise ExportError(
            f"`quantize='int8'` of to_litert cannot convert the loop {loops[0]!r}.\n"
            "TFLite's converter cannot measure the activations inside a loop over time steps.\n"
            "Give `time`, and no `recurrence`, so that recurrent layers are written out; or use "
            "quantize='dynamic_int8', whose weights are as small."
        )


def _complete(function, calls):
    """Arrays named CALL:NAME of calls that have all inputs: a state is that of the call before."""
    import tensorflow as tf

    arrays, last = {}, {}
    names = function.structured_input_signature[1]
    for number, call in enumerate(calls):
        call = {name: np.asarray({**last, **call}[name]) for name in names}
        arrays.update({f"{number}:{name}": value for name, value in call.items()})
        last = function(**{name: tf.constant(value) for name, value in call.items()})
    return arrays


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
