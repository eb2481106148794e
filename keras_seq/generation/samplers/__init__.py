"""Samplers choose the next token from the model's distribution."""

from keras_seq.generation.samplers._builtin import (
    GreedySampler,
    RandomSampler,
    TopKSampler,
    TopPSampler,
)

__all__ = ["GreedySampler", "RandomSampler", "TopKSampler", "TopPSampler"]
