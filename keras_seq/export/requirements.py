"""Exports are made by TensorFlow, from models that run on it."""

import importlib.util

import keras

from keras_seq.export.report import ExportError


def check_tensorflow(function):
    """Raise unless TensorFlow is installed and is Keras' backend."""
    if importlib.util.find_spec("tensorflow") is None:
        raise ExportError(f"{function} needs TensorFlow: pip install tensorflow")
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"{function} needs Keras to run on TensorFlow; it runs on {keras.backend.backend()!r}. "
            "Save the model (model.save('model.keras')), and load and export it in a process with "
            "KERAS_BACKEND=tensorflow."
        )
