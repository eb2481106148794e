"""What may be said next: each constraint changes the scores of the tokens before one is chosen.

A constraint is called with

    scores: (B, V) float32, logits or log-probabilities;
    tokens: (B, L) int32, what has been read and written so far, right of `position` anything;
    position: int32 scalar, the place of the token to choose;
    lengths: (B,) int32, how many of a row's tokens are its prompt;

and returns new (B, V) scores, `NEVER` where a token must not be chosen. A row to which they leave
nothing to say ends there, as if an end token had come that is written as padding and has the
probability one.

They mean what they mean in Hugging Face's transformers (its classes
are named below) and are applied in its order.
"""

import numbers

import numpy as np
from keras import ops

from keras_seq.layers._arguments import is_number
from keras_seq.layers.attention._cache import indices

NEVER = -1e9  # the score of a token that must not be chosen: finite, so that sums stay numbers


def nothing_left(scores):
    """(B,) booleans: which rows of (B, V) constrained scores have no token that may be chosen."""
    return ops.max(scores, axis=-1) < NEVER / 2


class RepetitionPenalty:
    """Makes tokens that stand in the prompt or have been written less likely.

        score / penalty where the score is positive, score * penalty where it is negative

    (Keskar et al. 2019, section 4.1; `RepetitionPenaltyLogitsProcessor`.)
    """

    def __init__(self, penalty):
        self.penalty = penalty

    def __call__(self, scores, tokens, position, lengths):
        written = ops.arange(tokens.shape[1], dtype="int32") < position  # (L,)
        seen = _marked(tokens, ops.broadcast_to(written, ops.shape(tokens)), scores.shape[-1])
        penalised = ops.where(scores > 0, scores / self.penalty, scores * self.penalty)
        return ops.where(seen, penalised, scores)


class NoRepeatNgram:
    """Forbids the token that would complete an n-gram for the second time, prompt included.

    (`NoRepeatNGramLogitsProcessor`; Paulus et al. 2018, section 2.5.)
    """

    def __init__(self, size):
        self.size = size

    def __call__(self, scores, tokens, position, lengths):
        n, length = self.size, tokens.shape[1]
        windows = length - n + 1
        if windows < 1:
            return scores
        # Window j holds tokens[j : j + n]; it counts where all of it has been written...
        repeated = ops.arange(n - 1, length, dtype="int32") < position
        repeated = ops.broadcast_to(repeated, (ops.shape(tokens)[0], windows))
        for k in range(n - 1):  # ... and begins with the last n - 1 tokens.
            at = ops.maximum(position - (n - 1) + k, 0)
            last = ops.slice(tokens, indices(0, at), (ops.shape(tokens)[0], 1))
            repeated = ops.logical_and(repeated, ops.equal(tokens[:, k : k + windows], last))
        banned = _marked(tokens[:, n - 1 :], repeated, scores.shape[-1])
        return ops.where(banned, NEVER, scores)


class BannedTokens:
    """Forbids some tokens everywhere (`SuppressTokensLogitsProcessor`)."""

    def __init__(self, ids):
        self.ids = ids

    def __call__(self, scores, tokens, position, lengths):
        return ops.where(_mask(self.ids, scores.shape[-1]), NEVER, scores)


class MinLength:
    """Forbids end tokens until a row has so many new ones (`MinNewTokensLengthLogitsProcessor`)."""

    def __init__(self, min_length, end_tokens):
        self.min_length = min_length
        self.end_tokens = end_tokens

    def __call__(self, scores, tokens, position, lengths):
        short = ops.expand_dims(position - lengths < self.min_length, -1)  # (B, 1)
        ends = _mask(self.end_tokens, scores.shape[-1])
        return ops.where(ops.logical_and(short, ends), NEVER, scores)


class Constraints:
    """The constraints of a `Generator`, checked, one after the other.

    Args:
        vocabulary_size: V.
        end_tokens: list of ids.
        max_length: the largest number of new tokens.
        min_length, banned_tokens, repetition_penalty, no_repeat_ngram_size: see `Generator`.

    Raises:
        ValueError: if an argument is out of range, or nothing would be left to say.
    """

    def __init__(
        self,
        vocabulary_size,
        end_tokens,
        max_length,
        min_length=0,
        banned_tokens=(),
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
    ):
        _check_count("min_length", min_length)
        _check_count("no_repeat_ngram_size", no_repeat_ngram_size)
        penalty = repetition_penalty
        if not is_number(penalty) or penalty <= 0:
            raise ValueError(
                "`repetition_penalty` of Generator must be a positive finite number; 1 changes "
                f"nothing. Received: {penalty!r}"
            )
        if min_length and not end_tokens:
            raise ValueError("`min_length` of Generator needs an `end_token` to hold back.")
        if min_length > max_length:
            raise ValueError(
                f"`min_length` of Generator must not be above max_length={max_length}. "
                f"Received: {min_length}"
            )
        banned = _checked_banned(banned_tokens, vocabulary_size, end_tokens if min_length else ())
        self.min_length = min_length
        self.parts = []
        if repetition_penalty != 1:
            self.parts.append(RepetitionPenalty(repetition_penalty))
        if no_repeat_ngram_size:
            self.parts.append(NoRepeatNgram(no_repeat_ngram_size))
        if banned:
            self.parts.append(BannedTokens(banned))
        if min_length:
            self.parts.append(MinLength(min_length, end_tokens))

    def __bool__(self):
        return bool(self.parts)

    def __call__(self, scores, tokens, position, lengths):
        for part in self.parts:
            scores = part(scores, tokens, position, lengths)
        return scores


def _checked_banned(banned_tokens, vocabulary_size, held_back):
    banned = list(banned_tokens) if np.ndim(banned_tokens) else [banned_tokens]
    for token in banned:
        whole = isinstance(token, numbers.Integral) and not isinstance(token, bool)
        if not whole or not 0 <= token < vocabulary_size:
            raise ValueError(
                f"`banned_tokens` of Generator must hold ids in [0, {vocabulary_size}), the "
                f"model's vocabulary. Received: {token!r}"
            )
    if len({*banned, *held_back}) == vocabulary_size:
        raise ValueError(
            f"`banned_tokens` of Generator must leave something to say: they are all of the "
            f"{vocabulary_size} tokens of the model" + (", end tokens aside." if held_back else ".")
        )
    return [int(token) for token in banned]


def _check_count(name, value):
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise ValueError(
            f"`{name}` of Generator must be an int of at least 0. Received: {name}={value!r}"
        )


def _mask(ids, vocabulary_size):
    """(V,) booleans, True at the ids."""
    return ops.convert_to_tensor(np.isin(np.arange(vocabulary_size), ids))


def _marked(ids, chosen, vocabulary_size):
    """(B, V) booleans: which ids stand at the chosen places of (B, L) `ids`."""
    batch, length = ops.shape(ids)[0], ids.shape[1]
    # What is not chosen goes to a column of its own, and so does what can be read but not written.
    columns = ops.where(chosen, ops.minimum(ids, vocabulary_size), vocabulary_size)
    rows = ops.expand_dims(ops.arange(batch, dtype="int32"), -1)
    places = ops.stack([ops.broadcast_to(rows, ops.shape(ids)), columns], axis=-1)  # (B, L, 2)
    ones = ops.ones((batch * length,), dtype="float32")
    counts = ops.scatter(ops.reshape(places, (-1, 2)), ones, (batch, vocabulary_size + 1))
    return counts[:, :vocabulary_size] > 0
