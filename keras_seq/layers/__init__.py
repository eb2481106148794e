"""Sequence layers: each can be called on a whole sequence and stepped through it."""

from keras_seq.layers._slice_update_gradient import register_slice_update_gradient
from keras_seq.layers.attention.additive import AdditiveAttention
from keras_seq.layers.attention.cross_attention import MultiHeadCrossAttention
from keras_seq.layers.attention.dot import DotAttention
from keras_seq.layers.attention.self_attention import MultiHeadSelfAttention
from keras_seq.layers.blocks.decoder import TransformerDecoderBlock
from keras_seq.layers.blocks.encoder import TransformerEncoderBlock
from keras_seq.layers.blocks.feed_forward import FeedForward
from keras_seq.layers.blocks.rms_normalization import RMSNormalization
from keras_seq.layers.causal_window import CausalWindow
from keras_seq.layers.each_step import EachStep
from keras_seq.layers.learned_initial_state import LearnedInitialState
from keras_seq.layers.learned_tokens import LearnedTokens
from keras_seq.layers.positions.alibi import AlibiBias
from keras_seq.layers.positions.embedding import PositionalEmbedding, sinusoidal_positions
from keras_seq.layers.positions.learned import LearnedPositions
from keras_seq.layers.positions.position_scheme import PositionScheme
from keras_seq.layers.positions.relative_bias import RelativePositionBias
from keras_seq.layers.positions.rotary import RotaryEmbedding
from keras_seq.layers.positions.row_column import RowColumnPositions
from keras_seq.layers.quantizers.gumbel_quantizer import GumbelQuantizer
from keras_seq.layers.quantizers.vector_quantizer import VectorQuantizer
from keras_seq.layers.recurrent._plain_loops import plain_loops
from keras_seq.layers.recurrent.gated_cell import GatedCell
from keras_seq.layers.recurrent.gru import GRU, GRUCell
from keras_seq.layers.recurrent.lstm import LSTM, LSTMCell
from keras_seq.layers.recurrent.lstm_variants import LayerNormLSTMCell, PeepholeLSTMCell
from keras_seq.layers.recurrent.rnn import RNN
from keras_seq.layers.recurrent.simple_rnn import SimpleRNN, SimpleRNNCell
from keras_seq.layers.sequence_layer import SequenceLayer

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveAttention",
    "AlibiBias",
    "CausalWindow",
    "DotAttention",
    "EachStep",
    "FeedForward",
    "GRUCell",
    "GatedCell",
    "GumbelQuantizer",
    "LSTMCell",
    "LayerNormLSTMCell",
    "LearnedInitialState",
    "LearnedPositions",
    "LearnedTokens",
    "MultiHeadCrossAttention",
    "MultiHeadSelfAttention",
    "PeepholeLSTMCell",
    "PositionScheme",
    "PositionalEmbedding",
    "RMSNormalization",
    "RelativePositionBias",
    "RotaryEmbedding",
    "RowColumnPositions",
    "SequenceLayer",
    "SimpleRNN",
    "SimpleRNNCell",
    "TransformerDecoderBlock",
    "TransformerEncoderBlock",
    "VectorQuantizer",
    "plain_loops",
    "sinusoidal_positions",
]

register_slice_update_gradient()
