"""Training: packed documents, truncated back-propagation, its data, runs that survive a kill."""

from keras_seq.training._average_checkpoints import AverageCheckpoints, average_checkpoints
from keras_seq.training._chunks import chunks
from keras_seq.training._resume import resume
from keras_seq.training._transformer_layout_map import transformer_layout_map
from keras_seq.training.inverse_square_root import InverseSquareRoot
from keras_seq.training.packed import Packed
from keras_seq.training.smoothed_crossentropy import SmoothedCrossentropy
from keras_seq.training.token_mean import TokenMean
from keras_seq.training.truncated_bptt import TruncatedBPTT

__all__ = [
    "AverageCheckpoints",
    "InverseSquareRoot",
    "Packed",
    "SmoothedCrossentropy",
    "TokenMean",
    "TruncatedBPTT",
    "average_checkpoints",
    "chunks",
    "resume",
    "transformer_layout_map",
]
