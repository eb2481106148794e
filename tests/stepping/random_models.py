"""Random causal models: depth, width, heads, norms, positions, recurrence, attention, windows,
branches, models inside models, and encoders, all drawn from a seed."""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from keras_seq.layers import (
    GRU,
    LSTM,
    RNN,
    AdditiveAttention,
    CausalWindow,
    DotAttention,
    FeedForward,
    MultiHeadCrossAttention,
    MultiHeadSelfAttention,
    PeepholeLSTMCell,
    PositionalEmbedding,
    SimpleRNN,
    TransformerDecoderBlock,
    TransformerEncoderBlock,
)

VOCABULARY_SIZE, SOURCE_SIZE, LONGEST = 13, 9, 24


class RandomModel(NamedTuple):
    """A model, the arrays of its context by input name, and what it is made of, for messages."""

    model: Any
    context: dict
    pieces: list


def random_model(seed, rows):
    """A random causal model with the logits (B, T, V) of the next token, and a random context."""
    builder = _Builder(np.random.default_rng(seed), rows)
    model = builder.model()
    builder.randomise(model)
    return RandomModel(model, builder.context, builder.pieces)


class _Builder:
    def __init__(self, rng, rows):
        self.rng = rng
        self.rows = rows
        self.context, self.pieces, self.nesting, self.tied = {}, [], 0, None
        self.heads = self.pick(1, 2, 4)
        self.width = self.heads * self.pick(2, 4, 6)
        self.masked = self.chance(0.5)

    def pick(self, *options):
        choice = options[self.rng.integers(len(options))]
        self.pieces.append(getattr(choice, "__name__", choice))
        return choice

    def chance(self, share):
        return bool(self.rng.random() < share)

    def model(self):
        tokens = self.tokens()
        inputs, self.memory, self.vector = self.pick(
            *[self.nothing] * 3, self.text, self.image, self.numbers
        )()
        x = self.embedding(tokens)
        for _ in range(self.rng.integers(1, 5)):
            x = self.block(x)
        if self.chance(0.5):
            x = layers.LayerNormalization()(x)
        if self.tied is not None and self.chance(0.5):
            self.pieces.append("tied")
            logits = self.tied(x, reverse=True)
        else:
            logits = layers.Dense(VOCABULARY_SIZE, name="logits")(x)
        if not inputs:
            return keras.Model(tokens, logits)
        # The target is the first input or the last.
        inputs = {t.name: t for t in ([*inputs, tokens] if self.chance(0.5) else [tokens, *inputs])}
        return keras.Model(inputs, logits)

    def tokens(self):
        return keras.Input((None,), dtype="int32", name="target")

    def randomise(self, model):
        """Large random weights, so that nothing hides behind zeros and ties are unlikely."""
        for variable in model.trainable_variables:
            noise = self.rng.normal(size=variable.shape) * 0.3
            variable.assign(ops.convert_to_numpy(variable) + noise.astype(variable.dtype))
        if self.pieces[-1] == "tied":
            return
        kernel, bias = model.get_layer("logits").weights
        kernel.assign(4 * ops.convert_to_numpy(kernel))
        bias.assign(0.1 * ops.convert_to_numpy(bias))

    # Encoders: lists of inputs, a memory (B, S, features) and a vector (B, features)

    def nothing(self):
        return [], None, None

    def text(self):
        source = keras.Input((None,), dtype="int32", name="source")
        ids = self.rng.integers(1, SOURCE_SIZE, size=(self.rows, 6)).astype("int32")
        ids[np.arange(6) >= self.rng.integers(1, 7, size=(self.rows, 1))] = 0
        self.context["source"] = ids
        x = layers.Embedding(SOURCE_SIZE, self.width, mask_zero=True)(source)
        if self.pick("recurrent", "transformer") == "recurrent":
            x = layers.Bidirectional(layers.GRU(self.width, return_sequences=True))(x)
            x, vector, _ = LSTM(self.width, return_sequences=True, return_state=True)(x)
            return [source], x, vector
        options = self.block_options(causal=False)
        x = TransformerEncoderBlock(2 * self.width, self.heads, **options)(x)
        return [source], x, layers.GlobalAveragePooling1D()(x)

    def image(self):
        image = keras.Input((6, 6, 1), name="image")
        self.context["image"] = self.rng.normal(size=(self.rows, 6, 6, 1)).astype("float32")
        x = layers.Conv2D(self.width, 3, strides=2, activation="relu")(image)
        memory = layers.Reshape((-1, self.width))(x)
        return [image], memory, layers.Dense(self.width)(layers.Flatten()(x))

    def numbers(self):
        state = keras.Input((3,), name="state")
        self.context["state"] = self.rng.normal(size=(self.rows, 3)).astype("float32")
        vector = layers.Dense(self.width, activation="tanh")(state)
        return [state], layers.RepeatVector(2)(vector), vector

    # On the path of the target

    def embedding(self, tokens):
        kind = self.pick("plain", *PositionalEmbedding.kinds)
        if kind == "plain":
            return layers.Embedding(VOCABULARY_SIZE, self.width, mask_zero=self.masked)(tokens)
        self.tied = PositionalEmbedding(
            VOCABULARY_SIZE, self.width, LONGEST, kind=kind, mask_zero=self.masked
        )
        return self.tied(tokens)

    def block(self, x):
        kinds = [self.recurrent, self.attention, self.transformer, self.window, self.feed_forward]
        if self.nesting < 2:
            kinds += [self.branches, self.nested, self.twice]
        if self.memory is not None and not self.nesting:
            kinds += [self.cross_attention, self.decoder, self.conditioned, self.given_state]
        return self.pick(*kinds)(x)

    def residual(self, x, function):
        """A residual connection with the norm before, after or nowhere."""
        placement = self.pick("pre", "post", "none")
        norm = self.pick(
            layers.LayerNormalization, layers.RMSNormalization, layers.BatchNormalization
        )
        y = x + function(norm()(x) if placement == "pre" else x)
        return norm()(y) if placement == "post" else y

    def recurrent_layer(self, units):
        layer = self.pick(SimpleRNN, LSTM, GRU, RNN)
        cell = PeepholeLSTMCell(units) if layer is RNN else units
        return layer(cell, return_sequences=True)

    def recurrent(self, x):
        if self.chance(0.5):
            return self.residual(x, self.recurrent_layer(self.width))
        return layers.Dense(self.width)(self.recurrent_layer(self.pick(3, 8))(x))

    def attention_options(self, causal=True):
        options = {"use_bias": self.chance(0.5)}
        if causal and self.chance(0.4):
            options["sliding_window"] = self.pick(1, 2, 4)
        if self.chance(0.4):
            groups = [n for n in (1, 2, 4) if self.heads % n == 0]
            options["num_key_value_heads"] = self.pick(*groups)
        if self.chance(0.6):
            options["positions"] = self.pick("rotary", "alibi")
        return options

    def block_options(self, causal=True):
        return {
            "normalize_first": self.chance(0.5),
            "gated": self.pick(False, True),
            "normalization": self.pick("layer", "rms"),
            **self.attention_options(causal),
        }

    def attention(self, x):
        options = self.attention_options()
        layer = MultiHeadSelfAttention(self.heads, self.pick(2, 4), causal=True, **options)
        return self.residual(x, layer)

    def transformer(self, x):
        size, options = self.pick(5, 12), self.block_options()
        if self.chance(0.5):
            return TransformerDecoderBlock(size, self.heads, **options)(x)
        return TransformerEncoderBlock(size, self.heads, causal=True, **options)(x)

    def window(self, x):
        x = CausalWindow(self.pick(1, 2, 3, 7))(x)
        return layers.Dense(self.width, activation="tanh")(x)

    def feed_forward(self, x):
        return self.residual(x, FeedForward(7, activation="gelu"))

    def branches(self, x):
        self.nesting += 1
        a, b = self.block(x), self.block(x)
        self.nesting -= 1
        join = self.pick("add", "concatenate", "gate", "where", "slice")
        if join == "add":
            return layers.Average()([a, b])
        if join == "concatenate":
            return layers.Dense(self.width)(ops.concatenate([a, b], axis=-1))
        if join == "gate":
            return ops.sigmoid(a) * b
        if join == "where":
            return ops.where(a > 0.0, a, b)
        return layers.Dense(self.width)(layers.concatenate([a[..., :1], b[:, :, 1:]]))

    def inner(self):
        """A model from (B, T, D) to (B, T, D)."""
        self.nesting += 1
        if self.chance(0.3):
            dense = layers.Dense(self.width, activation="tanh")
            stack = [keras.Input((None, self.width)), self.recurrent_layer(self.width), dense]
            inner = keras.Sequential(stack)
        else:
            x = keras.Input((None, self.width))
            inner = keras.Model(x, self.block(self.block(x) if self.chance(0.5) else x))
        self.nesting -= 1
        return inner

    def nested(self, x):
        return self.inner()(x)

    def twice(self, x):
        """One layer or one model in two places."""
        recurrent = self.chance(0.5)
        shared = self.recurrent_layer(self.width) if recurrent else self.inner()
        return x + shared(layers.Dense(self.width)(shared(x)))

    # Blocks that read the context

    def cross_attention(self, x):
        kind = self.pick(MultiHeadCrossAttention, AdditiveAttention, DotAttention)
        if kind is MultiHeadCrossAttention:
            attention = MultiHeadCrossAttention(self.heads, 4)
            return self.residual(x, lambda x: attention(x, self.memory))
        if kind is AdditiveAttention:
            read = AdditiveAttention(5)(x, self.memory)
        else:
            mode, scale = self.pick(*DotAttention.score_modes), self.pick(False, True, "sqrt")
            read = DotAttention(mode, scale)(x, self.memory)
        return layers.Dense(self.width)(layers.concatenate([x, read]))

    def decoder(self, x):
        return TransformerDecoderBlock(9, self.heads, **self.block_options())(x, self.memory)

    def conditioned(self, x):
        return x + ops.expand_dims(layers.Dense(self.width)(self.vector), 1)

    def given_state(self, x):
        state = layers.Dense(self.width)(self.vector)
        return GRU(self.width, return_sequences=True)(x, initial_state=[state])
