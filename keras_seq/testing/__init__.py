"""Checks that a sequence layer, yours or ours, keeps the contract of keras_seq."""

from keras_seq.testing._subject import LawBroken
from keras_seq.testing.conformance import LAWS, ConformanceReport, check_sequence_layer

__all__ = ["LAWS", "ConformanceReport", "LawBroken", "check_sequence_layer"]
