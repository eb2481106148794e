"""Pictures of what a model looks at and how it learned. Needs matplotlib: `keras_seq[plots]`."""

from keras_seq.plots._attention_map import attention_map, attention_maps
from keras_seq.plots._gates import gates
from keras_seq.plots._gradient_flow import gradient_flow
from keras_seq.plots._image_grid import image_grid
from keras_seq.plots._learning_curves import learning_curves
from keras_seq.plots._positional_encoding import positional_encoding

__all__ = [
    "attention_map",
    "attention_maps",
    "gates",
    "gradient_flow",
    "image_grid",
    "learning_curves",
    "positional_encoding",
]
