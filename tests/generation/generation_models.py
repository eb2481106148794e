"""Small models for the tests of stepping, generation and export."""

import keras
import numpy as np
from keras import layers

from keras_seq import models
from keras_seq.layers import GRU, MultiHeadSelfAttention


def hybrid(vocabulary_size=20, units=16):
    """A model that no function of keras_seq.models builds, written by hand."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(vocabulary_size, units, mask_zero=True)(tokens)
    x = GRU(units, return_sequences=True)(x)
    x = x + MultiHeadSelfAttention(2, units // 2, causal=True)(x)
    x = layers.LayerNormalization()(x)
    return shaken(keras.Model(tokens, layers.Dense(vocabulary_size)(x)))


def translator(kind, source_size=20, target_size=18, width=16):
    """A small encoder-decoder: "gru", "lstm", "transformer" or "post_norm"."""
    if kind in ("gru", "lstm"):
        model = models.seq2seq_rnn(source_size, target_size, width // 2, width, rnn=kind)
    else:
        model = models.transformer(
            source_size,
            target_size,
            sequence_length=32,
            num_heads=2,
            hidden_dim=width,
            intermediate_dim=2 * width,
            normalize_first=kind == "transformer",
        )
    return shaken(model)


def shaken(model, seed=1, scale=0.3):
    """Random weights, biases too, so that nothing hides behind zeros and ties are unlikely."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [w + scale * rng.normal(size=w.shape).astype(w.dtype) for w in model.get_weights()]
    )
    return model


def sources(rows=5, width=7, vocabulary_size=20, end=3, seed=0):
    """Source ids of different lengths, each with an end id, padded on the right."""
    rng = np.random.default_rng(seed)
    ids = np.zeros((rows, width), "int32")
    for i, row in enumerate(ids):
        length = 1 + (i * 3) % (width - 1)
        row[:length] = rng.integers(4, vocabulary_size, size=length)
        row[length] = end
    return ids


def log_probabilities(model, inputs):
    """(B, T, V) log-probabilities of a whole call, in float64."""
    # Compiled: eagerly, JAX would compile a loop over time anew at every call.
    logits = np.asarray(model.predict_on_batch(inputs)).astype("float64")
    logits -= logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def slow_greedy(model, source, prompt, max_length, end):
    """Greedy decoding of one row without any cache: the whole model for every token."""
    tokens, score = list(prompt), 0.0
    for _ in range(max_length):
        # Padded to one width, because eager JAX compiles each width anew.
        x = np.zeros((1, len(prompt) + max_length - 1), "int32")
        x[0, : len(tokens)] = tokens
        inputs = x if source is None else {"source": source[None], "target": x}
        last = log_probabilities(model, inputs)[0, len(tokens) - 1]
        tokens.append(int(last.argmax()))
        score += last.max()
        if tokens[-1] == end:
            break
    return tokens, score
