"""`get_sampler` and `get_strategy`: what a `Generator`'s argument `sampler` stands for."""

import sys

from keras_seq.generation.samplers._keras_hub import KerasHubSampler, int_seed
from keras_seq.generation.samplers.greedy_sampler import GreedySampler
from keras_seq.generation.samplers.random_sampler import RandomSampler
from keras_seq.generation.samplers.top_k_sampler import TopKSampler
from keras_seq.generation.samplers.top_p_sampler import TopPSampler
from keras_seq.generation.search.beam_search import BeamSampler
from keras_seq.generation.search.token_search import TokenSearch

NAMES = {
    "greedy": GreedySampler,
    "random": RandomSampler,
    "top_k": TopKSampler,
    "top_p": TopPSampler,
    "beam": BeamSampler,
}


def get_sampler(sampler):
    """A sampler or search strategy.

    Args:
        sampler: a name (one of `NAMES`), a sampler of keras_seq or KerasHub, an object with a
            method `search`, see `SearchStrategy`, or a callable, see `Sampler`.

    Raises:
        ValueError: if it is none of them, or a sampler of KerasHub that needs more than a step's
            distribution.
    """
    if isinstance(sampler, str) and sampler in NAMES:
        return NAMES[sampler]()
    hub = sys.modules.get("keras_hub")
    if hub is not None and isinstance(sampler, hub.samplers.Sampler):
        return _from_keras_hub(sampler, hub.samplers)
    usable = _is_strategy(sampler) or callable(sampler)
    if not usable or isinstance(sampler, type):
        raise ValueError(
            f"`sampler` must be one of {sorted(NAMES)}, a sampler object of keras_seq or KerasHub, "
            "an object called with (B, V) log-probabilities that returns (tokens, scores), or one "
            f"with a method search(generator, start). Received: {sampler!r}"
        )
    return sampler


def get_strategy(sampler):
    """How to search with a sampler: as it says itself, or token by token."""
    return sampler if _is_strategy(sampler) else TokenSearch(sampler)


def _is_strategy(sampler):
    return callable(getattr(sampler, "search", None))


def _from_keras_hub(sampler, hub):
    kind, temperature, seed = type(sampler), sampler.temperature, int_seed(sampler)
    if kind is hub.GreedySampler:
        return GreedySampler()
    if kind is hub.RandomSampler:
        return RandomSampler(temperature, seed)
    if kind is hub.TopKSampler:
        return TopKSampler(sampler.k, temperature, seed)
    if kind is hub.TopPSampler:
        return TopPSampler(sampler.p, sampler.k, temperature, seed)
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
