"""A small instance of every public layer and of every public model function.

The keys begin with the public name; what follows tells instances of one name apart.
"""

import re

import keras
import numpy as np
from keras import ops

from keras_seq import layers, models
from keras_seq.generation import Generator
from tests.layers.recurrent.user_cells.min_gru import MinGRUCell
from tests.layers.test_sequence_layer import RunningSum

FEATURES, VOCABULARY, TIME, PROMPT = 4, 11, 12, 3
IMAGE = (16, 16, 1)
WIDTHS = {"embedding_dim": 6, "hidden_dim": 8}
CAPTIONER = {"filters": (4, 6), "embedding_dim": 6, "hidden_dim": 8, "attention_units": 5}
SMALL = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 6}

# What is public and neither a layer nor a model.
NO_LAYERS = {"plain_loops", "sinusoidal_positions"}
NO_MODELS = {"ImageTokenizer"}  # the tuple of `image_tokenizer`


def public_name(key):
    """Of a key of `LAYERS` or `MODELS`."""
    return re.match(r"\w+", key)[0]


def image_tokenizer():
    return models.image_tokenizer((8, 8, 1), 7, 4, num_layers=1, hidden_dim=6, embedding_dim=5)


def of_sequence(layer):
    """A model of one layer on (B, T, D)."""
    x = keras.Input((None, FEATURES), name="x")
    return keras.Model(x, layer(x))


def of_two(layer):
    """A model of one layer that reads a source, of a length of its own."""
    x, source = keras.Input((None, FEATURES), name="x"), keras.Input((None, 6), name="source")
    return keras.Model([x, source], layer(x, source))


def of_ids(layer):
    ids = keras.Input((None,), dtype="int32", name="ids")
    return keras.Model(ids, layer(ids))


def of_heads(layer):
    """A model of one layer on (B, T, H, K)."""
    x = keras.Input((None, 2, FEATURES), name="x")
    return keras.Model(x, layer(x))


def of_scores(layer):
    """A model of one layer on (B, H, T, S)."""
    scores = keras.Input((2, 5, 5), name="scores")
    return keras.Model(scores, layer(scores))


def recurrent(cell):
    return of_sequence(layers.RNN(cell, return_sequences=True))


def attending(positions):
    return of_sequence(layers.MultiHeadSelfAttention(2, 4, causal=True, positions=positions))


def of_frames():
    frames = keras.Input((None, 6, 6, 1), name="frames")
    return keras.Model(frames, layers.EachStep(keras.layers.Conv2D(2, 3))(frames))


def with_learned_state():
    x = keras.Input((None, FEATURES), name="x")
    state = layers.LearnedInitialState([8, 8], initializer="random_normal")(x)
    return keras.Model(x, layers.LSTM(8, return_sequences=True)(x, initial_state=state))


def after_learned_tokens():
    x = keras.Input((None, FEATURES), name="x")
    return keras.Model(x, keras.layers.Concatenate(axis=1)([layers.LearnedTokens(2)(x), x]))


class MinimalCell(layers.GatedCell):
    """A gate that forgets and a candidate (Zhou et al. 2016)."""

    num_gates = 2

    def update(self, x, h, state):
        (previous,) = state
        x_f, x_g = ops.split(x, 2, axis=-1)
        h_f, h_g = ops.split(h, 2, axis=-1)
        f = self.recurrent_activation(x_f + h_f)
        return [(1 - f) * previous + f * self.activation(x_g + f * h_g)]


class Locality(layers.PositionScheme):
    """Keys that are near count more."""

    def bias(self, distance, num_heads):
        return -ops.cast(ops.square(distance), "float32")[None]  # (1, T, S)


LAYERS = {
    "AdditiveAttention": lambda: of_two(layers.AdditiveAttention(5)),
    "AlibiBias": lambda: attending(layers.AlibiBias()),
    "AlibiBias, of scores": lambda: of_scores(layers.AlibiBias()),
    "CausalWindow": lambda: of_sequence(layers.CausalWindow(3)),
    "DotAttention": lambda: of_two(layers.DotAttention("general")),
    "EachStep": of_frames,
    "FeedForward": lambda: of_sequence(layers.FeedForward(5, gated=True)),
    "GRU": lambda: of_sequence(layers.GRU(8, return_sequences=True)),
    "GRUCell": lambda: recurrent(layers.GRUCell(8, reset_after=False)),
    "GumbelQuantizer": lambda: of_sequence(layers.GumbelQuantizer(7)),
    "LSTM": lambda: of_sequence(layers.LSTM(8, return_sequences=True)),
    "LSTMCell": lambda: recurrent(layers.LSTMCell(8)),
    "LayerNormLSTMCell": lambda: recurrent(layers.LayerNormLSTMCell(8)),
    "LearnedInitialState": with_learned_state,
    "LearnedPositions": lambda: of_sequence(layers.LearnedPositions(TIME)),
    "LearnedTokens": after_learned_tokens,
    "MultiHeadCrossAttention": lambda: of_two(layers.MultiHeadCrossAttention(2, 4)),
    "MultiHeadSelfAttention": lambda: attending(None),
    "PeepholeLSTMCell": lambda: recurrent(layers.PeepholeLSTMCell(8)),
    "PositionalEmbedding": lambda: of_ids(layers.PositionalEmbedding(VOCABULARY, 8, TIME)),
    "RMSNormalization": lambda: of_sequence(layers.RMSNormalization()),
    "RNN": lambda: recurrent([layers.GRUCell(8), layers.LSTMCell(6)]),
    "RelativePositionBias": lambda: attending(layers.RelativePositionBias(8, 16)),
    "RotaryEmbedding": lambda: attending(layers.RotaryEmbedding()),
    "RotaryEmbedding, of heads": lambda: of_heads(layers.RotaryEmbedding()),
    "RowColumnPositions": lambda: of_sequence(layers.RowColumnPositions(3, 4)),
    "SimpleRNN": lambda: of_sequence(layers.SimpleRNN(8, return_sequences=True)),
    "SimpleRNNCell": lambda: recurrent(layers.SimpleRNNCell(8)),
    "TransformerDecoderBlock": lambda: of_two(layers.TransformerDecoderBlock(6, 2)),
    "TransformerEncoderBlock": lambda: of_sequence(layers.TransformerEncoderBlock(6, 2)),
    "VectorQuantizer": lambda: of_sequence(layers.VectorQuantizer(7)),
    # Base classes, by a subclass as users write it.
    "RNN (a user's cell)": lambda: recurrent(MinGRUCell(8)),
    "GatedCell (a user's)": lambda: recurrent(MinimalCell(8)),
    "PositionScheme (a user's)": lambda: attending(Locality()),
    "SequenceLayer (a user's)": lambda: of_sequence(RunningSum()),
}

MODELS = {
    "autoregressive": lambda: models.autoregressive(VOCABULARY, order=2, **WIDTHS),
    "captioner": lambda: models.captioner(VOCABULARY, IMAGE, **CAPTIONER),
    'captioner(cell="transformer")': lambda: models.captioner(
        VOCABULARY, IMAGE, cell="transformer", num_heads=2, intermediate_dim=6, **CAPTIONER
    ),
    "decoder_only_transformer": lambda: models.decoder_only_transformer(VOCABULARY, TIME, **SMALL),
    "forecaster": lambda: models.forecaster(TIME, 3, 2),
    'forecaster(cell="gru")': lambda: models.forecaster(TIME, 3, 2, cell="gru", hidden_dim=8),
    'forecaster(cell="lstm", every_step=True)': lambda: models.forecaster(
        TIME, 3, 2, cell="lstm", every_step=True, hidden_dim=8
    ),
    'forecaster(cell="transformer")': lambda: models.forecaster(
        TIME, 3, 2, cell="transformer", patch_size=4, patch_stride=2, **SMALL
    ),
    "image_tokenizer, autoencoder": lambda: image_tokenizer().autoencoder,
    "image_tokenizer, encoder": lambda: image_tokenizer().encoder,
    "image_tokenizer, decoder": lambda: image_tokenizer().decoder,
    "language_model": lambda: models.language_model(VOCABULARY, **WIDTHS),
    'language_model(cell="gru")': lambda: models.language_model(VOCABULARY, cell="gru", **WIDTHS),
    'language_model(cell="transformer")': lambda: models.language_model(
        VOCABULARY, cell="transformer", hidden_dim=8, num_heads=2, sequence_length=TIME
    ),
    "markov": lambda: models.markov(VOCABULARY),
    "seq2seq_rnn": lambda: models.seq2seq_rnn(VOCABULARY, 9, 6, 8),
    'seq2seq_rnn(rnn="lstm", attention_units=5)': lambda: models.seq2seq_rnn(
        VOCABULARY, 9, 6, 8, rnn="lstm", attention_units=5
    ),
    "sequence_classifier": lambda: models.sequence_classifier(3, VOCABULARY, **WIDTHS),
    'sequence_classifier(cell="transformer")': lambda: models.sequence_classifier(
        3, VOCABULARY, cell="transformer", pooling="mean", embedding_dim=8, **SMALL
    ),
    "sequence_tagger": lambda: models.sequence_tagger(3, VOCABULARY, **WIDTHS),
    "sequence_tagger(image_shape=...)": lambda: models.sequence_tagger(
        3, image_shape=IMAGE, filters=(2, 3), **WIDTHS
    ),
    'sequence_tagger(cell="transformer")': lambda: models.sequence_tagger(
        3, VOCABULARY, cell="transformer", embedding_dim=8, **SMALL
    ),
    "set_detector": lambda: models.set_detector(IMAGE, 3, 4, filters=(4, 4), **SMALL),
    "text_to_image": lambda: models.text_to_image(6, 7, PROMPT, (3, 3), **SMALL),
    "transformer": lambda: models.transformer(VOCABULARY, 9, TIME, **SMALL),
    "vision_transformer": lambda: models.vision_transformer(IMAGE, 3, **SMALL),
}

# Those that tell the next token, and so make a `Generator`.
GENERATE = (
    "autoregressive", "captioner", "decoder_only_transformer", "language_model", "markov",
    "seq2seq_rnn", "text_to_image", "transformer",
)  # fmt: skip


def generator(model):
    """Greedy."""
    return Generator(model, max_length=6, start_token=2, end_token=3)


def _generator_of(make):
    return lambda: generator(make())


INSTANCES = {
    **{f"layer {name}": make for name, make in LAYERS.items()},
    **{f"model {name}": make for name, make in MODELS.items()},
    **{
        f"generator {name}": _generator_of(make)
        for name, make in MODELS.items()
        if public_name(name) in GENERATE
    },
}


def instance(key):
    """A model or generator, with weights that hide nothing behind zeros."""
    keras.utils.set_random_seed(0)
    made = INSTANCES[key]()
    rng = np.random.default_rng(0)
    for variable in (made.model if isinstance(made, Generator) else made).trainable_variables:
        noise = 0.3 * rng.normal(size=variable.shape)
        variable.assign(ops.convert_to_numpy(variable) + noise.astype("float32"))
    return made
