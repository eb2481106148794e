"""Recurrent layers by the names that models take for `cell`."""

from keras_seq.layers import GRU, LSTM, SimpleRNN

RECURRENT = {"simple_rnn": SimpleRNN, "gru": GRU, "lstm": LSTM}
