"""Functions that return plain functional `keras.Model`s, each one as short as writing it out."""

from keras_seq.models._decoder_only_transformer import decoder_only_transformer
from keras_seq.models._image_tokenizer import ImageTokenizer, image_tokenizer
from keras_seq.models._seq2seq_rnn import seq2seq_rnn
from keras_seq.models._text_to_image import text_to_image
from keras_seq.models._transformer import transformer

__all__ = [
    "ImageTokenizer",
    "decoder_only_transformer",
    "image_tokenizer",
    "seq2seq_rnn",
    "text_to_image",
    "transformer",
]
