"""Recurrences in bfloat16 on a CPU: a loop in float32 where XLA compiles it."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.layers import _devices
from keras_seq.layers.recurrent import rnn

B, T, D, U = 2, 7, 3, 4
BACKEND = keras.backend.backend()
X = np.random.default_rng(0).normal(size=(B, T, D)).astype("float32")
MASK = np.arange(T) < np.array([[7], [3]])

pytestmark = pytest.mark.skipif(BACKEND == "torch", reason="XLA compiles nothing on PyTorch")


@pytest.fixture
def dtypes(monkeypatch):
    """The dtypes that loops over time compute in, one for each run."""
    found = []
    for module in (rnn, rnn.recur_in_float32):
        names = vars(module) if module is rnn else module.__globals__
        loop = names["recur"]

        def spy(cell, x, *args, loop=loop, **kwargs):
            found.append(keras.backend.standardize_dtype(x.dtype))
            return loop(cell, x, *args, **kwargs)

        monkeypatch.setitem(names, "recur", spy)
    return found


def compiled(function):
    if BACKEND == "jax":
        return function
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
def test_bfloat16_computes_in_float32_and_gives_bfloat16(name, dtypes):
    arguments = {"return_sequences": True, "recurrent_dropout": 0.5, "seed": 1, "zoneout": 0.1}
    wide = getattr(ks.layers, name)(U, dtype="mixed_bfloat16", **arguments)
    plain = getattr(ks.layers, name)(U, dtype="float32", **arguments)
    layers = [wide, plain]
    for layer in layers:
        layer.build((B, T, D))
    weights = [np.round(w * 8) / 8 for w in wide.get_weights()]  # exact in bfloat16
    x, mask = ops.convert_to_tensor(np.round(X * 8) / 8), ops.convert_to_tensor(MASK)
    results = []
    for layer in layers:
        layer.set_weights(weights)
        call = compiled(
            lambda x, layer=layer: layer(x, mask=mask, training=True, return_state=True)
        )
        y, state = call(x)
        results.append([y, *state])
    assert all(keras.backend.standardize_dtype(r.dtype) == "bfloat16" for r in results[0])
    for got, wanted in zip(*results, strict=True):
        rounded = ops.cast(ops.cast(wanted, "bfloat16"), "float32")
        # Float32 within the loop: no error beyond the last rounding, 2^-9, is left.
        np.testing.assert_allclose(ops.cast(got, "float32"), rounded, rtol=2**-7, atol=1e-6)
    assert dtypes == ["float32", "float32"]


def test_other_dtypes_a_single_step_and_a_gpu_stay_as_they_are(dtypes, monkeypatch):
    layers = {d: ks.layers.LSTM(U, dtype=d) for d in ("float32", "mixed_float16", "mixed_bfloat16")}
    for layer in layers.values():
        layer.build((B, T, D))
    compiled(layers["float32"])(ops.convert_to_tensor(X))
    compiled(layers["mixed_float16"])(ops.convert_to_tensor(X))
    compiled(layers["mixed_bfloat16"])(ops.convert_to_tensor(X[:, :1]))
    monkeypatch.setattr(_devices, "is_cpu", lambda: False)
    compiled(layers["mixed_bfloat16"])(ops.convert_to_tensor(X))
    assert dtypes == ["float32", "float16", "bfloat16", "bfloat16"]


@pytest.mark.needs_tensorflow(reason="all loops of JAX are XLA's")
def test_a_plain_graph_computes_in_bfloat16(dtypes):
    import tensorflow as tf

    layer = ks.layers.GRU(U, dtype="mixed_bfloat16")
    layer.build((B, T, D))
    tf.function(layer, autograph=False)(tf.constant(X))
    assert dtypes == ["bfloat16"]
