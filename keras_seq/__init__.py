"""keras_seq: sequence models for Keras 3 that train, step, generate and export."""

from keras_seq import export, generation, layers, models
from keras_seq.version import __version__

__all__ = ["__version__", "export", "generation", "layers", "models"]
