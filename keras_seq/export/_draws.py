"""What a sampler draws from the model's own distribution, with the seeds of an artifact's calls."""

import itertools

import numpy as np
from keras import ops

from keras_seq.export._model_call import compiled_graph
from keras_seq.generation._rows import entry
from keras_seq.generation.samplers import RandomSampler, uniform


class Draws:
    """The draws of an artifact's calls, repeated from given log-probabilities.

    A sampler's random numbers are a function of the seed, the place of the token and the row within
    the call, so what a call drew is drawn again with the rows of that call.

    Args:
        sampler: a `Sampler` with `needs_seed`.
        seeds: (C, 2) int32, one for each call.
        sizes: C ints, rows of each call. The calls follow one another; where the last one goes past
            the rows that are compared, it repeats the last of them.
    """

    def __init__(self, sampler, seeds, sizes):
        self.sampler, self.seeds, self.sizes = sampler, seeds, sizes
        self.starts = [0, *itertools.accumulate(sizes)][:-1]
        self._draw = compiled_graph(self._drawn)

    def batches(self, size):
        """Lists of calls that have at most `size` rows together, or are one call."""
        batch = []
        for call, start in enumerate(self.starts):
            if batch and start + self.sizes[call] - self.starts[batch[0]] > size:
                yield batch
                batch = []
            batch.append(call)
        yield batch

    def __call__(self, calls, log_probabilities, place, got):
        """The tokens of some calls at one place.

        Args:
            calls: list of numbers of calls, one after the other.
            log_probabilities: (B, V), of the rows of these calls.
            place: number of the token in its row.
            got: (B,) ids that the artifact drew.

        Returns:
            `(tokens, gaps)`: (B,) int32, and (B,) how far the sampler was from drawing `got`;
            rows after those of the calls repeat the last one.
        """
        parts, first = [], self.starts[calls[0]]
        for call in calls:
            begin = self.starts[call] - first
            rows = slice(begin, begin + self.sizes[call])
            seed = np.array([*self.seeds[call], place], "int32")
            x = log_probabilities[rows].astype("float32")
            drawn = self._draw(x, seed, got[rows].astype("int32"))
            parts.append([ops.convert_to_numpy(y) for y in drawn])
        drawn = [np.concatenate(part) for part in zip(*parts, strict=True)]
        return [np.pad(x, (0, len(log_probabilities) - len(x)), "edge") for x in drawn]

    def _drawn(self, log_probabilities, seed, got):
        tokens = ops.cast(self.sampler(log_probabilities, seed)[0], "int32")
        if type(self.sampler).__call__ is RandomSampler.__call__:
            gaps = _distance(self.sampler, log_probabilities, seed, got)
        else:  # nothing is known of how it draws
            gaps = ops.abs(entry(log_probabilities, tokens) - entry(log_probabilities, got))
        return tokens, gaps


def _distance(sampler, log_probabilities, seed, got):
    """(B,) distance of the uniform number u from the part of [0, 1) that draws the token `got`."""
    log_weights, ids = sampler.candidates(log_probabilities)  # (B, C)
    if ids is None:
        ids = ops.expand_dims(ops.arange(log_weights.shape[-1], dtype="int32"), 0)
    weights = ops.softmax(log_weights, axis=-1)
    here = ops.logical_and(ops.equal(ids, ops.expand_dims(got, -1)), weights > 0)
    ends = ops.max(ops.where(here, ops.cumsum(weights, axis=-1), 0.0), axis=-1)
    begins = ends - ops.sum(ops.where(here, weights, 0.0), axis=-1)
    u = uniform(seed, ops.shape(log_probabilities)[0])
    distance = ops.maximum(ops.maximum(begins - u, u - ends), 0.0)
    return ops.where(ops.any(here, axis=-1), distance, float("inf"))
