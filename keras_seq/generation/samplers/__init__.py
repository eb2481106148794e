"""Samplers choose the next token from the model's distribution."""

from keras_seq.generation.samplers._drawing import categorical
from keras_seq.generation.samplers._filters import TopK, TopP
from keras_seq.generation.samplers._random_numbers import uniform
from keras_seq.generation.samplers.greedy_sampler import GreedySampler
from keras_seq.generation.samplers.random_sampler import RandomSampler
from keras_seq.generation.samplers.sampler import Sampler
from keras_seq.generation.samplers.top_k_sampler import TopKSampler
from keras_seq.generation.samplers.top_p_sampler import TopPSampler

__all__ = [
    "GreedySampler",
    "RandomSampler",
    "Sampler",
    "TopK",
    "TopKSampler",
    "TopP",
    "TopPSampler",
    "categorical",
    "uniform",
]
