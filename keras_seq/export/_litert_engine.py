"""`LiteRTEngine`: a generator's loop run by LiteRT in this process."""

import collections
import importlib.util
import os
import pathlib
import tempfile
import threading

import keras
import numpy as np
from keras import ops

from keras_seq.export._exported_function import ExportedFunction
from keras_seq.export._float32 import in_float32
from keras_seq.export.report import ExportError
from keras_seq.export.targets.litert import LiteRT
from keras_seq.stepping._fingerprint import ModelFingerprint

_CAPACITY = 8  # files that are kept loaded, one for each set of shapes; each holds the weights


class LiteRTEngine:
    """Runs `Generator.generate` as a LiteRT file, made at the first call with each set of shapes.

    Args:
        generator: the `Generator`.

    Raises:
        ImportError: without ai-edge-litert.
        ValueError: on another backend than TensorFlow.
    """

    def __init__(self, generator):
        _check(generator)
        self.generator = generator
        self._fingerprint, self._variables = None, None
        self._loaded = collections.OrderedDict()  # the one used last at the end
        self._lock = threading.Lock()  # an interpreter runs one call at a time

    def function(self, prefill, max_length, prompted):
        """See `register_engine`."""

        def generate(inputs, prompt, lengths, given, limit, seed):
            arrays = {f"context_{i}": inputs[name] for i, name in enumerate(inputs)}
            arrays.update(prompt=prompt, lengths=lengths)
            optional = {"given": given, "limit": limit, "seed": seed}
            arrays |= {name: x for name, x in optional.items() if x is not None}
            arrays = {name: np.asarray(ops.convert_to_numpy(x)) for name, x in arrays.items()}
            with self._lock:
                loop = ExportedLoop(self.generator, prefill, max_length, list(inputs), arrays)
                outputs = self._runner(loop)(**arrays)
            return [ops.convert_to_tensor(outputs[n]) for n in ("tokens", "scores", "steps")]

        return generate

    def _runner(self, loop):
        """The loaded file of a loop, made from the model as it is."""
        from keras_seq.export._variable_values import VariableValues  # which needs TensorFlow

        fingerprint = ModelFingerprint(self.generator.model)
        if fingerprint != self._fingerprint or self._variables.changed():
            self._loaded.clear()
            self._fingerprint = fingerprint
            self._variables = VariableValues(self.generator.model)
        if loop.key not in self._loaded:
            while len(self._loaded) >= _CAPACITY:
                self._loaded.popitem(last=False)
            self.generator.trace_count += 1
            self._loaded[loop.key] = _LoadedLoop(loop)
        self._loaded.move_to_end(loop.key)
        return self._loaded[loop.key].runner


class ExportedLoop(ExportedFunction):
    """`Generator.decode` of arrays of given shapes.

    Args:
        generator, prefill, max_length: see `Generator.decode`.
        context: names of the model's context inputs.
        arrays: dict by name of what the loop is called with.
    """

    signature = "generate"

    def __init__(self, generator, prefill, max_length, context, arrays):
        super().__init__(generator, atol=None)
        self.prefill, self.max_length, self.context = prefill, max_length, context
        self._specs = {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
        self.key = (prefill, max_length, *self._specs.items())
        self.options = {"quantize": generator.weights and "dynamic_int8"}

    @property
    def keras_model(self):
        return self.model.model

    def specs(self):
        return self._specs

    def __call__(self, prompt, lengths, given=None, limit=None, seed=None, **context):
        inputs = {name: context[f"context_{i}"] for i, name in enumerate(self.context)}
        tokens, scores, steps = self.model.decode(
            inputs, prompt, lengths, self.prefill, self.max_length, given, seed, limit
        )
        return {"tokens": tokens, "scores": scores, "steps": ops.cast(steps, "int32")}


class _LoadedLoop:
    """A loop as a file that is loaded, and deleted with this object."""

    def __init__(self, loop):
        from ai_edge_litert.interpreter import Interpreter

        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        path = pathlib.Path(self._folder.name) / "loop.tflite"
        try:
            loop.model = in_float32(loop.model)
            LiteRT().write(loop, path)
        except ExportError as error:
            raise ExportError(
                "engine='litert' cannot run this generator; Generator(..., engine='compiled') can. "
                f"{error}"
            ) from error
        # By its path: what is mapped into memory and not read again takes none.
        interpreter = Interpreter(model_path=str(path), num_threads=_threads())
        self.runner = interpreter.get_signature_runner(loop.signature)


def _threads():
    """As many as TensorFlow multiplies with."""
    import tensorflow as tf

    available = getattr(os, "sched_getaffinity", None)
    available = len(available(0)) if available else os.cpu_count()
    return tf.config.threading.get_intra_op_parallelism_threads() or available or 1


def _check(generator):
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "engine='litert' of Generator needs Keras to run on TensorFlow, which makes its files; "
            f"it runs on {keras.backend.backend()!r}. Use engine='compiled'."
        )
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise ImportError(
            "engine='litert' and weights='int8' of Generator need the package ai-edge-litert: "
            'pip install "keras_seq[litert]"'
        )
