"""The version, in one place that can be read without importing Keras."""

__version__ = "0.2.0.dev0"
