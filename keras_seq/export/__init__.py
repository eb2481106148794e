"""Exports that are run: written, run in a process of their own, compared with the model's call."""

from keras_seq.export._atomic_write import atomic_write
from keras_seq.export._exported_function import ExportedFunction
from keras_seq.export._exported_model import ExportedModel
from keras_seq.export._litert_engine import LiteRTEngine
from keras_seq.export._process import ArtifactRun, run_artifact, run_script
from keras_seq.export._target import ExportTarget, register_target, to
from keras_seq.export._verify import verify
from keras_seq.export.report import ExportError, ExportReport
from keras_seq.export.targets._onnx_graph import register_onnx
from keras_seq.export.targets.ctranslate2 import to_ctranslate2
from keras_seq.export.targets.litert import to_litert
from keras_seq.export.targets.onnx import to_onnx
from keras_seq.export.targets.saved_model import to_saved_model
from keras_seq.generation._engines import register_engine

register_engine("litert", LiteRTEngine)

__all__ = [
    "ArtifactRun",
    "ExportError",
    "ExportReport",
    "ExportTarget",
    "ExportedFunction",
    "ExportedModel",
    "atomic_write",
    "register_onnx",
    "register_target",
    "run_artifact",
    "run_script",
    "to",
    "to_ctranslate2",
    "to_litert",
    "to_onnx",
    "to_saved_model",
    "verify",
]
