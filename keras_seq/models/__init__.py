"""Functions that return plain functional `keras.Model`s, each one as short as writing it out."""

from keras_seq.models._autoregressive import autoregressive
from keras_seq.models._decoder_only_transformer import decoder_only_transformer
from keras_seq.models._language_model import language_model
from keras_seq.models._markov import markov
from keras_seq.models._seq2seq_rnn import seq2seq_rnn
from keras_seq.models._transformer import transformer

__all__ = [
    "autoregressive",
    "decoder_only_transformer",
    "language_model",
    "markov",
    "seq2seq_rnn",
    "transformer",
]
