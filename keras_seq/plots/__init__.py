"""Pictures of what a model looks at and how it learned. Needs matplotlib: `keras_seq[plots]`."""

from keras_seq.plots._attention_map import attention_map, attention_maps
from keras_seq.plots._attention_masks import attention_masks
from keras_seq.plots._contact_sheet import contact_sheet
from keras_seq.plots._curves import curves
from keras_seq.plots._detections import detections
from keras_seq.plots._forecasts import forecasts
from keras_seq.plots._gates import gates
from keras_seq.plots._gradient_flow import gradient_flow
from keras_seq.plots._image_attention import image_attention
from keras_seq.plots._image_grid import image_grid
from keras_seq.plots._labeled_frames import labeled_frames
from keras_seq.plots._learning_curves import learning_curves
from keras_seq.plots._positional_encoding import positional_encoding
from keras_seq.plots._token_scores import token_scores

__all__ = [
    "attention_map",
    "attention_maps",
    "attention_masks",
    "contact_sheet",
    "curves",
    "detections",
    "forecasts",
    "gates",
    "gradient_flow",
    "image_attention",
    "image_grid",
    "labeled_frames",
    "learning_curves",
    "positional_encoding",
    "token_scores",
]
