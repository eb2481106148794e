"""Runs exported LiteRT files with ai-edge-litert and NumPy alone: no TensorFlow, no Keras."""

from keras_seq.runtime.generator import LiteRTGenerator
from keras_seq.runtime.stream import LiteRTStream

__all__ = ["LiteRTGenerator", "LiteRTStream"]
