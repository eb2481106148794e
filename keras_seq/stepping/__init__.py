"""Run a causal functional model one time step at a time."""

from keras_seq.stepping.pointwise import register_pointwise
from keras_seq.stepping.stepper import Stepper

__all__ = ["Stepper", "register_pointwise"]
