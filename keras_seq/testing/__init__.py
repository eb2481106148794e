"""Checks that a sequence layer, yours or ours, keeps the contract of keras_seq."""

from keras_seq.testing._subject import InvariantViolated
from keras_seq.testing.conformance import INVARIANTS, ConformanceReport, check_sequence_layer

__all__ = ["INVARIANTS", "ConformanceReport", "InvariantViolated", "check_sequence_layer"]
