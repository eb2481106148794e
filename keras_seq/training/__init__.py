"""Training on long sequences: truncated back-propagation through time, its data."""

from keras_seq.training._chunks import chunks
from keras_seq.training.truncated_bptt import TruncatedBPTT

__all__ = [
    "TruncatedBPTT",
    "chunks",
]
