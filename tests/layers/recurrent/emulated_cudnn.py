"""cuDNN's recurrences as its documentation has them, computed on any device.

They stand in for the kernel alone: what packs weights and unpacks results is Keras' own code.
"""

import importlib

import keras
import numpy as np
import pytest

from keras_seq.layers import _devices


def install(monkeypatch):
    """Let Keras and keras_seq see a GPU, and cuDNN's kernel be this one.

    Returns:
        A list that has an entry for each run of the kernel.
    """
    rnn = importlib.import_module(f"keras.src.backend.{keras.backend.backend()}.rnn")
    if not hasattr(rnn, "_is_gpu_available"):
        pytest.skip("this version of Keras has no kernel on JAX")
    monkeypatch.setattr(rnn, "_is_gpu_available", lambda: True)
    monkeypatch.setattr(_devices, "has_gpu", lambda: True)
    runs = []
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        def operation(**arguments):
            runs.append(arguments["rnn_mode"])
            return _tensorflow_kernel(**arguments)

        monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", operation)
    else:
        from jax.experimental import rnn as jax_rnn

        def operation(x, h_0, c_0, weights, seq_lengths, **sizes):
            runs.append("lstm")
            unpacked = jax_rnn.unpack_lstm_weights(
                weights, sizes["input_size"], sizes["hidden_size"], 1, False
            )
            return jax_rnn.lstm_ref(x, h_0, c_0, *unpacked, seq_lengths, *sizes.values())

        monkeypatch.setattr(jax_rnn, "lstm", operation)
    return runs


def _tensorflow_kernel(
    *, input, input_h, input_c, params, rnn_mode, sequence_lengths, is_training, time_major
):
    """`(outputs, h, c, reserved, host reserved)` of one layer in one direction, batch first.

    Weights follow one another, each transposed: of the input i, f, g, o (LSTM) or r, z, g (GRU),
    those of the state, biases of both. Outputs behind a sequence's end are zeros.
    """
    import tensorflow as tf

    assert not time_major
    num_gates = {"lstm": 4, "gru": 3}[rnn_mode]
    units, features = input_h.shape[-1], input.shape[-1]
    sizes = [units * features, units * units, units, units]
    parts = tf.split(params, np.repeat(sizes, num_gates))
    w, u, b, c = (parts[i * num_gates : (i + 1) * num_gates] for i in range(4))
    w = [tf.transpose(tf.reshape(part, (units, features))) for part in w]
    u = [tf.transpose(tf.reshape(part, (units, units))) for part in u]
    h, state = input_h[:, 0], input_c if rnn_mode == "gru" else input_c[:, 0]
    outputs = []
    for t in range(input.shape[1]):
        x = [input[:, t] @ part + bias for part, bias in zip(w, b, strict=True)]
        y = [h @ part + bias for part, bias in zip(u, c, strict=True)]
        if rnn_mode == "gru":
            r, z = tf.sigmoid(x[0] + y[0]), tf.sigmoid(x[1] + y[1])
            new, new_state = (1 - z) * tf.tanh(x[2] + r * y[2]) + z * h, state
        else:
            i, f, g, o = [a + b for a, b in zip(x, y, strict=True)]
            new_state = tf.sigmoid(f) * state + tf.sigmoid(i) * tf.tanh(g)
            new = tf.sigmoid(o) * tf.tanh(new_state)
        runs_on = (t < sequence_lengths)[:, None]
        outputs.append(tf.where(runs_on, new, 0))
        h = tf.where(runs_on, new, h)
        state = state if rnn_mode == "gru" else tf.where(runs_on, new_state, state)
    last = state if rnn_mode == "gru" else state[:, None]
    return tf.stack(outputs, axis=1), h[:, None], last, None, None
