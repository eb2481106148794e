"""Sequence layers: each can be called on a whole sequence and stepped through it."""

from keras_seq.layers.additive_attention import AdditiveAttention
from keras_seq.layers.alibi import AlibiBias
from keras_seq.layers.causal_window import CausalWindow
from keras_seq.layers.cells import (
    GRUCell,
    LayerNormLSTMCell,
    LSTMCell,
    PeepholeLSTMCell,
    SimpleRNNCell,
)
from keras_seq.layers.dot_attention import DotAttention
from keras_seq.layers.feed_forward import FeedForward
from keras_seq.layers.gated_cell import GatedCell
from keras_seq.layers.multi_head_attention import MultiHeadSelfAttention
from keras_seq.layers.multi_head_cross_attention import MultiHeadCrossAttention
from keras_seq.layers.positional_embedding import PositionalEmbedding, sinusoidal_positions
from keras_seq.layers.recurrent import GRU, LSTM, SimpleRNN
from keras_seq.layers.rms_normalization import RMSNormalization
from keras_seq.layers.rnn import RNN
from keras_seq.layers.rotary_embedding import RotaryEmbedding
from keras_seq.layers.sequence_layer import SequenceLayer
from keras_seq.layers.slice_update_gradient import register_slice_update_gradient
from keras_seq.layers.transformer_decoder_block import TransformerDecoderBlock
from keras_seq.layers.transformer_encoder_block import TransformerEncoderBlock

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveAttention",
    "AlibiBias",
    "CausalWindow",
    "DotAttention",
    "FeedForward",
    "GRUCell",
    "GatedCell",
    "LSTMCell",
    "LayerNormLSTMCell",
    "MultiHeadCrossAttention",
    "MultiHeadSelfAttention",
    "PeepholeLSTMCell",
    "PositionalEmbedding",
    "RMSNormalization",
    "RotaryEmbedding",
    "SequenceLayer",
    "SimpleRNN",
    "SimpleRNNCell",
    "TransformerDecoderBlock",
    "TransformerEncoderBlock",
    "sinusoidal_positions",
]

register_slice_update_gradient()
