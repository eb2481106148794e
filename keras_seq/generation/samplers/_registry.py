"""`get_sampler`: a sampler from its name, from itself, or from KerasHub's sampler of that kind."""

import sys

import keras
from keras import ops

from keras_seq.generation._rows import entry
from keras_seq.generation.logits_processors._token_masks import FORBIDDEN
from keras_seq.generation.samplers._builtin import (
    GreedySampler,
    RandomSampler,
    TopKSampler,
    TopPSampler,
)
from keras_seq.generation.samplers._random_numbers import seed_of_step
from keras_seq.generation.search.beam_search import BeamSampler

NAMES = {
    "greedy": GreedySampler,
    "random": RandomSampler,
    "top_k": TopKSampler,
    "top_p": TopPSampler,
    "beam": BeamSampler,
}


def get_sampler(sampler):
    """A sampler object.

    Args:
        sampler: a name (one of `NAMES`), a sampler of keras_seq or KerasHub, or an object called
            with (B, V) log-probabilities that returns `(tokens, scores)`, (B,) each.

    Raises:
        ValueError: if it is none of them, or a sampler of KerasHub that needs more than a step's
            distribution.
    """
    if isinstance(sampler, str) and sampler in NAMES:
        return NAMES[sampler]()
    if isinstance(sampler, (BeamSampler, *NAMES.values())):
        return sampler
    hub = sys.modules.get("keras_hub")
    if hub is not None and isinstance(sampler, hub.samplers.Sampler):
        return _from_keras_hub(sampler, hub.samplers)
    if not callable(sampler) or isinstance(sampler, type):
        raise ValueError(
            f"`sampler` must be one of {sorted(NAMES)}, a sampler object of keras_seq or KerasHub, "
            "or an object called with (B, V) log-probabilities that returns (tokens, scores). "
            f"Received: {sampler!r}"
        )
    return sampler


def _from_keras_hub(sampler, hub):
    kind, temperature = type(sampler), sampler.temperature
    if kind is hub.GreedySampler:
        return GreedySampler()
    if kind is hub.RandomSampler:
        return RandomSampler(temperature, sampler.seed)
    if kind is hub.TopKSampler:
        return TopKSampler(sampler.k, temperature, sampler.seed)
    if kind is hub.TopPSampler:
        return TopPSampler(sampler.p, sampler.k, temperature, sampler.seed)
    if kind is hub.BeamSampler and temperature == 1:
        return BeamSampler(sampler.num_beams, sampler.return_all_beams, length_penalty=0.0)
    loop, choice = hub.Sampler.__call__, hub.Sampler.get_next_token
    if kind.__call__ is loop and kind.get_next_token is not choice:
        return KerasHubSampler(sampler)
    raise ValueError(
        f"`sampler` {kind.__name__} of KerasHub (temperature={temperature}) cannot be taken over: "
        "it needs more than the distribution of one step (hidden states, a draft model or a loop "
        f"of its own). Use one of {sorted(NAMES)} of keras_seq, or a KerasHub sampler with a "
        "`get_next_token`."
    )


class KerasHubSampler:
    """A per-token sampler written for KerasHub.

    Its `compute_probabilities` and `get_next_token` choose the token. Its seed generators are
    replaced by the step's own seed, so that it draws the same in any loop.
    """

    def __init__(self, sampler):
        self.sampler = sampler
        self.needs_seed = bool(sampler.variables)
        self.seed = getattr(sampler, "seed", None)

    def __call__(self, log_probabilities, seed=None):
        if seed is not None and seed.shape[0] == 3:
            seed = seed_of_step(seed)
        mapping = [(v, ops.cast(seed, v.dtype)) for v in self.sampler.variables]
        with keras.StatelessScope(state_mapping=mapping):
            # No heat makes a token that must not be chosen likely.
            never = ops.less(log_probabilities, FORBIDDEN / 2)
            allowed = ops.where(never, float("-inf"), log_probabilities)
            probabilities = self.sampler.compute_probabilities(allowed)
            tokens = ops.cast(self.sampler.get_next_token(probabilities), "int32")
        return tokens, entry(log_probabilities, tokens)
