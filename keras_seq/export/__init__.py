"""Exports that run: written, run in a process of their own, compared with the model."""

from keras_seq.export._verify import verify
from keras_seq.export.report import ExportError, ExportReport
from keras_seq.export.targets.litert import to_litert
from keras_seq.export.targets.litert_model import ModelReport, model_to_litert
from keras_seq.export.targets.saved_model import to_saved_model

__all__ = [
    "ExportError",
    "ExportReport",
    "ModelReport",
    "model_to_litert",
    "to_litert",
    "to_saved_model",
    "verify",
]
