"""Training on long sequences: truncated back-propagation through time, its data, gradient flow."""

from keras_seq.training.chunks import chunks
from keras_seq.training.gradient_flow import gradient_flow
from keras_seq.training.truncated_bptt import TruncatedBPTT

__all__ = [
    "TruncatedBPTT",
    "chunks",
    "gradient_flow",
]
