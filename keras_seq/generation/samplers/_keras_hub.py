"""Samplers of KerasHub: taken over, or called for each token."""

import keras
import numpy as np
from keras import ops

from keras_seq.generation._rows import entry
from keras_seq.generation.logits_processors._token_masks import FORBIDDEN
from keras_seq.generation.samplers._random_numbers import seed_of_step
from keras_seq.generation.samplers.sampler import Sampler
from keras_seq.saving._objects import serialized


@keras.saving.register_keras_serializable(package="keras_seq")
class KerasHubSampler(Sampler):
    """A per-token sampler written for KerasHub.

    Its `compute_probabilities` and `get_next_token` choose the token. Its seed generators are
    replaced by the step's own seed, so that it draws the same in any loop.
    """

    def __init__(self, sampler):
        self.sampler = sampler
        self.needs_seed = bool(sampler.variables)
        self.seed = int_seed(sampler)

    def __call__(self, log_probabilities, seed=None):
        if seed is not None and seed.shape[0] == 3:
            seed = seed_of_step(seed)
        mapping = [(v, ops.cast(seed, v.dtype)) for v in self.sampler.variables]
        with keras.StatelessScope(state_mapping=mapping):
            # No temperature makes a token that must not be chosen likely.
            forbidden = ops.less(log_probabilities, FORBIDDEN / 2)
            allowed = ops.where(forbidden, float("-inf"), log_probabilities)
            probabilities = self.sampler.compute_probabilities(allowed)
            tokens = ops.cast(self.sampler.get_next_token(probabilities), "int32")
        return tokens, entry(log_probabilities, tokens)

    def get_config(self):
        return {"sampler": serialized(self.sampler, "sampler")}


def int_seed(sampler):
    """The int that a KerasHub sampler is seeded with; `None` where it has a seed generator."""
    seed = getattr(sampler, "seed", None)
    return seed if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool) else None
