"""Generate sequences with a functional model, and score given ones."""

from keras_seq.generation.generator import Generated, Generator
from keras_seq.generation.logits_processors import (
    BannedTokens,
    LogitsProcessor,
    MinLength,
    NoRepeatNgram,
    RepetitionPenalty,
)
from keras_seq.generation.samplers import GreedySampler, RandomSampler, TopKSampler, TopPSampler
from keras_seq.generation.search.beam_search import BeamSampler
from keras_seq.generation.text_generator import TextGenerator

__all__ = [
    "BannedTokens",
    "BeamSampler",
    "Generated",
    "Generator",
    "GreedySampler",
    "LogitsProcessor",
    "MinLength",
    "NoRepeatNgram",
    "RandomSampler",
    "RepetitionPenalty",
    "TextGenerator",
    "TopKSampler",
    "TopPSampler",
]
