"""Training: packed documents, truncated back-propagation, its data, runs that survive a kill."""

from keras_seq.training._average_precision import average_precision
from keras_seq.training._chunks import chunks
from keras_seq.training._linear_assignment import linear_assignment
from keras_seq.training._resume import resume
from keras_seq.training._transformer_layout_map import transformer_layout_map
from keras_seq.training.packed import Packed
from keras_seq.training.set_prediction import SetPrediction
from keras_seq.training.token_mean import TokenMean
from keras_seq.training.truncated_bptt import TruncatedBPTT

__all__ = [
    "Packed",
    "SetPrediction",
    "TokenMean",
    "TruncatedBPTT",
    "average_precision",
    "chunks",
    "linear_assignment",
    "resume",
    "transformer_layout_map",
]
