"""keras_seq: sequence models for Keras 3 that train, step, generate and export."""

import importlib

from keras_seq import export, generation, layers, models, stepping
from keras_seq.version import __version__

__all__ = [
    "__version__",
    "classification",
    "data",
    "export",
    "generation",
    "inspection",
    "layers",
    "models",
    "plots",
    "stepping",
    "testing",
    "training",
]

# Imported when first asked for: they need packages that not every user has, or that take time.
_ON_DEMAND = ("classification", "data", "inspection", "plots", "testing", "training")


def __getattr__(name):
    if name in _ON_DEMAND:
        return importlib.import_module(f"keras_seq.{name}")
    raise AttributeError(f"module 'keras_seq' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
