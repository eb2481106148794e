"""What an export needs: TensorFlow, from models that run on it, or another package."""

import importlib.util

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


def check_package(function, *packages, extra):
    """Raise unless the packages of a distribution extra are installed.

    Raises:
        ImportError: with the command that installs them.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"{function} needs {' and '.join(missing)}, which are not installed: "
            f'pip install "keras_seq[{extra}]"'
        )
