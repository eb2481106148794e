"""Masks over the vocabulary: which tokens a logits processor acts on."""

import numpy as np
from keras import ops

FORBIDDEN = -1e9  # the score of a token that must not be chosen: finite, so that sums stay numbers


def no_candidates(scores):
    """(B,) booleans: which rows of (B, V) scores have no token that may be chosen."""
    return ops.max(scores, axis=-1) < FORBIDDEN / 2


def ids_mask(ids, vocabulary_size):
    """(V,) booleans, True at the ids."""
    return ops.convert_to_tensor(np.isin(np.arange(vocabulary_size), ids))


def ids_at(tokens, chosen, vocabulary_size):
    """(B, V) booleans: which ids (B, L) `tokens` hold where `chosen`, (B, L), is True."""
    batch, length = ops.shape(tokens)[0], tokens.shape[1]
    # What is not chosen goes to a column of its own, and so does what can be read but not written.
    columns = ops.where(chosen, ops.minimum(tokens, vocabulary_size), vocabulary_size)
    rows = ops.expand_dims(ops.arange(batch, dtype="int32"), -1)
    places = ops.stack([ops.broadcast_to(rows, ops.shape(tokens)), columns], axis=-1)  # (B, L, 2)
    ones = ops.ones((batch * length,), dtype="float32")
    counts = ops.scatter(ops.reshape(places, (-1, 2)), ones, (batch, vocabulary_size + 1))
    return counts[:, :vocabulary_size] > 0
