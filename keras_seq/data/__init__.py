"""Datasets and text files -> tokenized, bucketed `tf.data` pipelines.

Importing this package registers `colored_shapes`, `date_translation`, `digit_scenes`,
`fashion_scenes` and `moving_digits` with TensorFlow Datasets, so that
`tfds.load("date_translation")` works as for any other dataset.
"""

try:
    import tensorflow  # noqa: F401
    import tensorflow_datasets  # noqa: F401
except ImportError as error:
    raise ImportError(
        "keras_seq.data needs TensorFlow and tensorflow-datasets: "
        "pip install tensorflow tensorflow-datasets; "
        "layers, models and generation work without them"
    ) from error

from keras_seq.data._captions import CaptionData, captions
from keras_seq.data._classification import ClassificationData, classification
from keras_seq.data._images import ImageData, images
from keras_seq.data._language_model import LanguageModelData, language_model
from keras_seq.data._load import load, pairs
from keras_seq.data._series import SeriesData, series
from keras_seq.data._tagging import TaggingData, tagging
from keras_seq.data._translation import TranslationData, translation
from keras_seq.data.colored_shapes import ColoredShapes
from keras_seq.data.date_translation import DateTranslation
from keras_seq.data.digit_scenes import DigitScenes
from keras_seq.data.fashion_scenes import FashionScenes
from keras_seq.data.moving_digits import MovingDigits
from keras_seq.data.tokenizers import load_tokenizer, train_tokenizer

__all__ = [
    "CaptionData",
    "ClassificationData",
    "ColoredShapes",
    "DateTranslation",
    "DigitScenes",
    "FashionScenes",
    "ImageData",
    "LanguageModelData",
    "MovingDigits",
    "SeriesData",
    "TaggingData",
    "TranslationData",
    "captions",
    "classification",
    "images",
    "language_model",
    "load",
    "load_tokenizer",
    "pairs",
    "series",
    "tagging",
    "train_tokenizer",
    "translation",
]
