"""Pictures of what a model looks at and how it learnt. Needs matplotlib: `keras_seq[plots]`."""

from keras_seq.plots.attention_map import attention_map, attention_maps
from keras_seq.plots.attention_scores import attention_scores
from keras_seq.plots.gates import gates
from keras_seq.plots.gradient_flow import gradient_flow
from keras_seq.plots.learning_curves import learning_curves
from keras_seq.plots.positional_encoding import positional_encoding

__all__ = [
    "attention_map",
    "attention_maps",
    "attention_scores",
    "gates",
    "gradient_flow",
    "learning_curves",
    "positional_encoding",
]
