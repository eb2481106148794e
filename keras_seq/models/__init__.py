"""Functions that return plain functional `keras.Model`s, each one as short as writing it out."""

from keras_seq.models._autoregressive import autoregressive
from keras_seq.models._captioner import captioner
from keras_seq.models._decoder_only_transformer import decoder_only_transformer
from keras_seq.models._forecaster import forecaster
from keras_seq.models._image_tokenizer import ImageTokenizer, image_tokenizer
from keras_seq.models._language_model import language_model
from keras_seq.models._markov import markov
from keras_seq.models._seq2seq_rnn import seq2seq_rnn
from keras_seq.models._sequence_classifier import sequence_classifier
from keras_seq.models._sequence_tagger import sequence_tagger
from keras_seq.models._set_detector import set_detector
from keras_seq.models._text_to_image import text_to_image
from keras_seq.models._transformer import transformer
from keras_seq.models._vision_transformer import vision_transformer

__all__ = [
    "ImageTokenizer",
    "autoregressive",
    "captioner",
    "decoder_only_transformer",
    "forecaster",
    "image_tokenizer",
    "language_model",
    "markov",
    "seq2seq_rnn",
    "sequence_classifier",
    "sequence_tagger",
    "set_detector",
    "text_to_image",
    "transformer",
    "vision_transformer",
]
