"""Random graphs of what users write, right or wrong for stepping: models inside models with inputs
by name, shared layers, masks, contexts, constants, activations of every kind, shapes that agree by
chance, layers that look ahead."""

import keras
import numpy as np
from keras import layers, ops

from keras_seq.layers import (
    GRU,
    LSTM,
    CausalWindow,
    FeedForward,
    LearnedInitialState,
    MultiHeadCrossAttention,
    TransformerDecoderBlock,
)
from tests.stepping.random_models import VOCABULARY_SIZE, RandomModel, _Builder


def random_graph(seed):
    """A random model with logits (B, T, V), its context, and the target ids (B, T)."""
    rng = np.random.default_rng(seed)
    # Keras 3.15 adds (1, T, 1) to (1, T, D) along the wrong axis where T = D, in any model.
    builder = _GraphBuilder(rng, rows=int(rng.integers(2, 5)))
    try:
        model = builder.model()
    except ValueError as error:  # Keras takes some masks inside models inside for cycles
        if "cycle" not in str(error):
            raise
        return random_graph(seed + 10_000)
    builder.randomise(model)
    ids = rng.integers(0, VOCABULARY_SIZE, size=(builder.rows, builder.time))
    ids[:, 0] = np.maximum(ids[:, 0], 1)
    return RandomModel(model, builder.context, builder.pieces), ids.astype("int32")


class _GraphBuilder(_Builder):
    """`_Builder` with blocks that a stepper must take care with."""

    def __init__(self, rng, rows):
        super().__init__(rng, rows)
        self.time = self.width if self.chance(0.5) else 5
        self.fixed = self.chance(0.5)
        self.names = 0

    def tokens(self):
        return keras.Input((self.time if self.fixed else None,), dtype="int32", name="target")

    def block(self, x):
        if self.chance(0.4):
            return super().block(x)
        kinds = [self.constant_state, self.learned_state, self.constant_context, self.activated,
                 self.constants, self.masked_by_target, self.clash, self.shaped]  # fmt: skip
        if self.nesting < 2:
            kinds += [self.by_name, self.with_mask]
        if self.memory is not None and not self.nesting:
            kinds += [self.keras_attention]
        if self.chance(0.25):
            kinds = [self.ahead, self.trained, self.state_of_target]
        return self.pick(*kinds)(x)

    def normal(self, *shape):
        value = self.rng.normal(size=shape).astype("float32")
        return self.pick(lambda: value, lambda: keras.Variable(value))()

    def constant_state(self, x):
        rows = self.pick(1, self.rows)
        kind = self.pick("gru", "lstm", "window")
        if kind == "gru":
            state = self.normal(rows, self.width)
            return GRU(self.width, return_sequences=True)(x, initial_state=state)
        if kind == "lstm":
            state = [self.normal(rows, self.width), self.normal(rows, self.width)]
            return LSTM(self.width, return_sequences=True)(x, initial_state=state)
        window = {"window": self.normal(self.rows, 2, self.width)}
        return layers.Dense(self.width)(CausalWindow(2)(x, initial_state=window))

    def learned_state(self, x):
        state = LearnedInitialState(self.width, initializer="random_normal")(x)
        return GRU(self.width, return_sequences=True)(x, initial_state=state)

    def constant_context(self, x):
        context = self.rng.normal(size=(self.pick(1, self.rows), 3, 5)).astype("float32")
        return x + MultiHeadCrossAttention(self.heads, 2)(x, context)

    def activated(self, x):
        activation = self.pick(
            "gelu", "softmax", ops.tanh, layers.LeakyReLU(), layers.Softmax(),
            layers.Softmax(axis=1), layers.PReLU(shared_axes=[1]), ops.flip,
            layers.PReLU(), layers.Activation("relu"),
        )  # fmt: skip
        holder = self.pick(
            lambda: layers.Dense(self.width, activation=activation),
            lambda: layers.Activation(activation),
            lambda: FeedForward(5, activation=activation),
            lambda: TransformerDecoderBlock(5, self.heads, activation=activation),
        )()
        try:
            return holder(x)
        except Exception:  # weights for an open time axis: Keras builds no such layer
            return x

    def constants(self, x):
        shape = self.pick(
            (self.width,), (1, self.width), (1, 1, self.width), (self.width, 1), (self.rows, 1, 1),
            (self.time, self.width), (1, self.time, 1), (),
        )  # fmt: skip
        value = self.rng.normal(size=shape).astype("float32")
        open_time = self.nesting or not self.fixed
        if open_time and len(shape) > 1 and shape[-2] != 1:
            return x
        operation = self.pick(
            lambda x: x * value,
            lambda x: ops.add(x, value),
            lambda x: ops.clip(x, value - 1, value + 1),
            lambda x: layers.Rescaling(value)(x),
            lambda x: ops.where(value > 0, x, -x),
        )
        try:
            return operation(x)
        except Exception:  # shapes that Keras refuses
            return x

    def masked_by_target(self, x):
        mask = ops.greater(x[..., 0], 0.0)
        layer = self.pick(
            GRU(self.width, return_sequences=True),
            TransformerDecoderBlock(5, self.heads),
            CausalWindow(1),
        )
        return layer(x, mask=mask)

    def clash(self, x):
        self.names += 1
        name = f"shared_{self.nesting}_{self.names}_{self.rng.integers(1000)}"
        shared = GRU(self.width, return_sequences=True, name=name)
        other = GRU(self.width, return_sequences=True, name=f"{name}_call_2")
        return shared(other(shared(x)))

    def shaped(self, x):
        """Operands of another rank, or with an axis of one."""
        operation = self.pick(
            lambda x: x + ops.mean(x, -1, keepdims=True),
            lambda x: layers.Add()([x, ops.mean(x, -1, keepdims=True)]),
            lambda x: x - ops.mean(x, -1),
            lambda x: layers.Multiply()([x, ops.mean(x, -1)]),
            lambda x: ops.expand_dims(ops.sum(x, -1), -1) * x,
            lambda x: layers.Reshape((-1, self.width))(x),
            lambda x: ops.transpose(ops.transpose(x, (0, 2, 1)), (0, 2, 1)),
        )
        try:
            y = operation(x)
        except Exception:
            return x
        return y if y.shape[-1] == self.width else x

    def by_name(self, x):
        """A model of two inputs, called by name or by place."""
        self.nesting += 1
        a, b = keras.Input((None, self.width), name="a"), keras.Input((None, self.width), name="b")
        y = self.block(a) - layers.Dense(self.width)(b)
        self.nesting -= 1
        structure = self.pick(lambda: [a, b], lambda: [b, a], lambda: {"b": b, "a": a})()
        inner = keras.Model(structure, y)
        first, second = layers.Dense(self.width)(x), layers.Dense(self.width)(x)
        given = {"a": first, "b": second}
        if isinstance(structure, list) and self.chance(0.5):
            given = [first, second]
        elif isinstance(structure, list) and self.chance(0.3):
            given["surplus"] = x
        return x + inner(given)

    def with_mask(self, x):
        inner = self.inner()
        return inner(x, mask=ops.greater(x[..., 0], 0.0))

    def keras_attention(self, x):
        y = x + layers.MultiHeadAttention(self.heads, 2)(x, self.memory)
        y = y + MultiHeadCrossAttention(self.heads, 2)(y, self.memory)
        return y + layers.MultiHeadAttention(self.heads, 2)(y, self.memory)

    # What must be refused

    def ahead(self, x):
        return self.pick(
            lambda x: ops.flip(x, axis=1),
            lambda x: ops.cumsum(x, axis=1),
            lambda x: layers.Softmax(axis=1)(x),
            lambda x: x - ops.mean(x, axis=1, keepdims=True),
            lambda x: layers.Conv1D(self.width, 2, padding="same")(x),
            lambda x: layers.Bidirectional(layers.GRU(self.width, return_sequences=True),
                                           merge_mode="sum")(x),
            lambda x: layers.LSTM(self.width, return_sequences=True)(x),
            lambda x: layers.MultiHeadAttention(self.heads, 2)(x, x),
        )(x)  # fmt: skip

    def trained(self, x):
        layer = self.pick(layers.BatchNormalization(), layers.Dropout(0.5))
        return layer(x, training=True)

    def state_of_target(self, x):
        return GRU(self.width, return_sequences=True)(x, initial_state=x[:, -1])
