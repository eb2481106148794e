"""Generate sequences with a functional model, and score given ones."""

from keras_seq.generation.generator import Generated, Generator
from keras_seq.generation.logits_processors import (
    BannedTokens,
    LogitsProcessor,
    MinLength,
    NoRepeatNgram,
    RepetitionPenalty,
)
from keras_seq.generation.samplers import (
    GreedySampler,
    RandomSampler,
    Sampler,
    TopK,
    TopKSampler,
    TopP,
    TopPSampler,
    categorical,
    uniform,
)
from keras_seq.generation.search import BeamSampler, BeamSelection, SearchStrategy
from keras_seq.generation.text_generator import TextGenerator

__all__ = [
    "BannedTokens",
    "BeamSampler",
    "BeamSelection",
    "Generated",
    "Generator",
    "GreedySampler",
    "LogitsProcessor",
    "MinLength",
    "NoRepeatNgram",
    "RandomSampler",
    "RepetitionPenalty",
    "Sampler",
    "SearchStrategy",
    "TextGenerator",
    "TopK",
    "TopKSampler",
    "TopP",
    "TopPSampler",
    "categorical",
    "uniform",
]
