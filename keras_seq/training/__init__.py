"""Training: truncated back-propagation through time, its data, runs that go on after a kill."""

from keras_seq.training._chunks import chunks
from keras_seq.training._resume import resume
from keras_seq.training._transformer_layout_map import transformer_layout_map
from keras_seq.training.token_mean import TokenMean
from keras_seq.training.truncated_bptt import TruncatedBPTT

__all__ = [
    "TokenMean",
    "TruncatedBPTT",
    "chunks",
    "resume",
    "transformer_layout_map",
]
