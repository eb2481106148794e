"""Search strategies: the loop over time, token by token or with beams."""

from keras_seq.generation.search.beam_search import BeamSampler, BeamSelection
from keras_seq.generation.search.search_strategy import SearchStrategy

__all__ = ["BeamSampler", "BeamSelection", "SearchStrategy"]
