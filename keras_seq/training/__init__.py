"""Training: losses, schedules, callbacks, packed documents, truncated BPTT, `resume`."""

from keras_seq.training._average_checkpoints import AverageCheckpoints, average_checkpoints
from keras_seq.training._average_precision import average_precision
from keras_seq.training._chunks import chunks
from keras_seq.training._linear_assignment import linear_assignment
from keras_seq.training._resume import resume
from keras_seq.training._transformer_layout_map import transformer_layout_map
from keras_seq.training.draw_figures import DrawFigures
from keras_seq.training.inverse_square_root import InverseSquareRoot
from keras_seq.training.packed import Packed
from keras_seq.training.sample_text import SampleText
from keras_seq.training.score_texts import ScoreTexts
from keras_seq.training.set_prediction import SetPrediction
from keras_seq.training.smoothed_crossentropy import SmoothedCrossentropy
from keras_seq.training.token_mean import TokenMean
from keras_seq.training.truncated_bptt import TruncatedBPTT

__all__ = [
    "AverageCheckpoints",
    "DrawFigures",
    "InverseSquareRoot",
    "Packed",
    "SampleText",
    "ScoreTexts",
    "SetPrediction",
    "SmoothedCrossentropy",
    "TokenMean",
    "TruncatedBPTT",
    "average_checkpoints",
    "average_precision",
    "chunks",
    "linear_assignment",
    "resume",
    "transformer_layout_map",
]
