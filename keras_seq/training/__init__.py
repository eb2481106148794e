"""Training: packed documents, truncated back-propagation, its data, weights on several devices."""

from keras_seq.training._chunks import chunks
from keras_seq.training._transformer_layout_map import transformer_layout_map
from keras_seq.training.packed import Packed
from keras_seq.training.truncated_bptt import TruncatedBPTT

__all__ = [
    "Packed",
    "TruncatedBPTT",
    "chunks",
    "transformer_layout_map",
]
