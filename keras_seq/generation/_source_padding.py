"""Whether a model masks the padding of a context input, found by trying."""

import contextlib

import keras
import numpy as np
from keras import ops

from keras_seq.stepping._embeddings import padding_id, vocabulary_size
from keras_seq.stepping._keras_private import call_model

LENGTH, MORE = 4, 3


def masks_padding(stepper, name, padding):
    """Whether further ids `padding` at the end of the context input `name` change no output.

    The embedding that reads the input must mask them, and whatever reads that must keep to the
    mask: a convolution, say, does not. The model is called with and without them, on random ids
    and with random weights, for weights that are still zero would hide what they multiply.
    """
    symbolic = stepper.graph.inputs[name]
    if padding_id(stepper.model, name) != padding or tuple(symbolic.shape) != (None, None):
        return False
    with contextlib.suppress(Exception), _random_weights(stepper.model):
        # A model that cannot be called so, with inputs of strings, say, is not padded.
        rng = np.random.default_rng(0)
        inputs = {other: _random(stepper, other, rng) for other in stepper.graph.inputs}
        ids = np.where(np.equal(inputs[name], padding), (padding + 1) % 2, inputs[name])
        longer = np.pad(ids, ((0, 0), (0, MORE)), constant_values=padding)
        y, padded = (_output(stepper, {**inputs, name: x}) for x in (ids, longer))
        return bool(np.allclose(y, padded, rtol=0, atol=1e-5 * np.abs(y).max()))
    return False


def _random_weights(model):
    rng = np.random.default_rng(0)
    weights = [v for v in model.variables if keras.backend.is_float_dtype(v.dtype)]
    values = [
        # Sums of many stay near one, where no gate is shut and hides what it lets through.
        ops.cast(rng.normal(size=v.shape) / (v.shape[0] if len(v.shape) > 1 else 1) ** 0.5, v.dtype)
        for v in weights
    ]
    return keras.StatelessScope(state_mapping=list(zip(weights, values, strict=True)))


def _random(stepper, name, rng):
    symbolic = stepper.graph.inputs[name]
    shape = (1, *(LENGTH if size is None else size for size in symbolic.shape[1:]))
    if keras.backend.is_int_dtype(symbolic.dtype):
        return rng.integers(0, vocabulary_size(stepper.model, name) or 2, size=shape)
    return rng.normal(size=shape)


def _output(stepper, inputs):
    dtypes = {name: symbolic.dtype for name, symbolic in stepper.graph.inputs.items()}
    tensors = {name: ops.convert_to_tensor(x, dtype=dtypes[name]) for name, x in inputs.items()}
    outputs = keras.tree.flatten(call_model(stepper.model, tensors, training=False))
    return ops.convert_to_numpy(outputs[0])
