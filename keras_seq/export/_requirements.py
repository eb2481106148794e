"""Exports are made by TensorFlow, from models that run on it."""

import keras

from keras_seq.export.report import ExportError


def check_tensorflow(function):
    """Raise unless Keras runs on TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"{function} needs Keras to run on TensorFlow; it runs on {keras.backend.backend()!r}. "
            "Save the model (model.save('model.keras')), and load and export it in a process with "
            "KERAS_BACKEND=tensorflow."
        )
