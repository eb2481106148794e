"""Activations by name: those of Keras, and the GELU of GPT-2, for which Keras has no name."""

import keras


def gelu_tanh(x):
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) (Hendrycks & Gimpel 2016, section 2)."""
    return keras.activations.gelu(x, approximate=True)


_NAMED = {"gelu_tanh": gelu_tanh, "gelu_approximate": gelu_tanh}


def get_activation(activation):
    """The function for a name, a configuration or a function."""
    named = isinstance(activation, str) and activation in _NAMED
    return _NAMED[activation] if named else keras.activations.get(activation)


def serialize_activation(activation):
    """For `get_config`: what `get_activation` takes back."""
    return "gelu_tanh" if activation is gelu_tanh else keras.activations.serialize(activation)
