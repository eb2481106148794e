"""Stepping a functional model, and generating sequences with it."""

from keras_seq.generation.beam_search import BeamSampler
from keras_seq.generation.generator import Generated, Generator
from keras_seq.generation.pointwise import register_pointwise
from keras_seq.generation.samplers import GreedySampler, RandomSampler, TopKSampler, TopPSampler
from keras_seq.generation.stepper import Stepper
from keras_seq.generation.text_generator import TextGenerator

__all__ = [
    "BeamSampler",
    "Generated",
    "Generator",
    "GreedySampler",
    "RandomSampler",
    "Stepper",
    "TextGenerator",
    "TopKSampler",
    "TopPSampler",
    "register_pointwise",
]
