"""What layers need of private Keras: masks that travel with tensors, output specs, cuDNN.

The graph of functional models is in `stepping/_keras_private.py`; nothing else is private.
"""

import importlib

import keras
from keras.src import backend
from keras.src.backend import get_keras_mask, set_keras_mask

__all__ = [
    "drop_mask",
    "fused_recurrence",
    "get_mask",
    "is_graph_of_trainer",
    "set_mask",
    "standalone_output_spec",
]

# The functions that `fit`, `evaluate` and `predict` make graphs of, on TensorFlow.
_FUNCTIONS_OF_TRAINER = {
    "one_step_on_data",
    "one_step_on_data_distributed",
    "multi_step_on_data",
    "multi_step_on_iterator",
}


def get_mask(x):
    """The mask (B, T) that a Keras layer attached to `x`, or `None`."""
    return None if x is None else get_keras_mask(x)


def set_mask(x, mask):
    """Attach `mask` (B, T) to `x`, as a Keras layer does, and return `x`."""
    if mask is not None:
        set_keras_mask(x, mask)
    return x


def drop_mask(x):
    """Take the mask off `x`, as Keras' MultiHeadAttention does with what it reads (3.15)."""
    set_keras_mask(x, None)


def is_graph_of_trainer(graph):
    """Whether a TensorFlow graph is what `fit`, `evaluate` or `predict` runs, or stands in it."""
    while graph is not None:
        if getattr(graph, "name", None) in _FUNCTIONS_OF_TRAINER:
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


def standalone_output_spec(layer, *args, **kwargs):
    """Output specs of `layer` found by tracing its `call`, whatever `compute_output_shape` says."""
    return keras.Operation.compute_output_spec(layer, *args, **kwargs)


def fused_recurrence(name):
    """Keras' function for the backend's fused kernel; it raises NotImplementedError without one.

    Args:
        name: "lstm" or "gru".

    Returns:
        `(x, *state, mask, kernel=, ...) -> (last output, outputs, state)`.
    """
    if keras.backend.backend() == "torch":
        rnn = importlib.import_module("keras.src.backend.torch.rnn")
        if not hasattr(rnn, f"prepare_{name}_params"):  # Keras 3.12 cuts its gradient off
            raise NotImplementedError(f"{name} of Keras {keras.__version__} has no gradient")
    return getattr(backend, name)
