"""Stepping models of many shapes: outputs, branches, models inside models, contexts, features."""

import pytest
from keras import Input, Model, layers, ops

from keras_seq.layers import (
    GRU,
    LSTM,
    AdditiveAttention,
    MultiHeadCrossAttention,
    MultiHeadSelfAttention,
    PositionalEmbedding,
)
from keras_seq.stepping import Stepper
from tests.generation.generation_models import shaken


def target(width=6, time=None):
    return Input((time, width), name="target")


def gru(x, **kwargs):
    return GRU(6, return_sequences=True)(x, **kwargs)


def two_branches_and_outputs():
    x = target()
    a, b = gru(x), MultiHeadSelfAttention(2, 3, causal=True)(x)
    return Model(x, {"both": ops.concatenate([a, b], axis=-1), "gate": ops.sigmoid(a) * b, "x": x})


def shared_models_inside_models():
    x = Input((None, 6))
    inner = Model(x, gru(x))
    x = Input((None, 6))
    outer = Model(x, inner(layers.Dense(6)(inner(x))))
    x = target()
    return Model(x, outer(x) + outer(outer(x)) + inner(x))


def a_decoder_inside_that_is_shared():
    x, memory = Input((None, 6), name="x"), Input((None, 6), name="memory")
    y = MultiHeadCrossAttention(2, 3)(x, memory)
    decoder = Model({"x": x, "memory": memory}, MultiHeadSelfAttention(2, 3, causal=True)(y))
    x, source = target(), Input((None, 6), name="source")
    y = decoder({"x": decoder({"x": x, "memory": source}), "memory": source})
    return Model([source, x], y)


def a_model_inside_with_the_target_on_two_inputs():
    a, b = Input((None, 6), name="a"), Input((None, 6), name="b")
    inner = Model([a, b], [gru(a * b), a - b])
    x = target()
    y, z = inner([x, layers.Dense(6)(x)])
    return Model(x, y + z)


def an_image_encoder():
    image, x = Input((8, 8, 1), name="image"), target()
    features = layers.Conv2D(4, 3, strides=2)(image)
    y = MultiHeadCrossAttention(2, 4)(x, layers.Reshape((-1, 4))(features))
    return Model([image, x], y)


def a_state_vector():
    state, x = Input((3,), name="state"), target()
    vector = layers.Dense(6)(state)
    y = gru(x, initial_state=[vector]) + ops.expand_dims(vector, 1)
    return Model([x, state], AdditiveAttention(4)(y, layers.RepeatVector(3)(vector)))


def a_recurrent_encoder_of_keras():
    source, x = Input((None, 3), name="source"), target()
    memory, h, c = layers.LSTM(6, return_sequences=True, return_state=True)(source)
    y = LSTM(6, return_sequences=True)(x, initial_state=[h, c])
    return Model([source, x], AdditiveAttention(4)(y, memory))


def attention_of_keras_to_the_context():
    ids, x = Input((None,), dtype="int32", name="source"), target()
    source = layers.Embedding(7, 6, mask_zero=True)(ids)
    y = layers.MultiHeadAttention(2, 3)(x, source)
    by_hand = ops.softmax(ops.matmul(y, ops.transpose(source, (0, 2, 1))))
    return Model([ids, x], layers.Attention()([y, source]) + ops.matmul(by_hand, source))


def an_output_without_the_target():
    state, x = Input((3,), name="state"), target()
    h = layers.Dense(6)(state)
    return Model([state, x], {"y": gru(x, initial_state=[h]), "class": layers.Dense(2)(h)})


def attention_weights_as_outputs():
    source, x = Input((None, 6), name="source"), target()
    y, upon_itself = MultiHeadSelfAttention(2, 3, causal=True)(x, return_attention_scores=True)
    y, weights = MultiHeadCrossAttention(2, 3)(y, source, return_attention_scores=True)
    y, additive = AdditiveAttention(3)(y, source, return_attention_scores=True)
    return Model([source, x], [y, upon_itself, weights, additive])


def two_targets():
    tokens, covariates = Input((None,), dtype="int32", name="a"), Input((None, 3), name="b")
    return Model(
        [tokens, covariates], gru(layers.Embedding(9, 6)(tokens) + layers.Dense(6)(covariates))
    )


def heads_made_and_merged_by_reshapes():
    x = target()
    heads = layers.Reshape((-1, 2, 3))(gru(x))
    heads = ops.transpose(layers.UnitNormalization()(heads), (0, 1, 3, 2))
    return Model(x, layers.Reshape((-1, 6))(layers.Permute((1, 3, 2))(heads)))


def a_fixed_length():
    x = target(time=5)
    y = ops.reshape(layers.Reshape((5, 2, 3))(gru(x)), (-1, 5, 6))
    return Model(x, y + ops.ones((6,)))


def operations_on_the_features():
    x = target()
    a, b = ops.split(gru(x), 2, axis=-1)
    y = ops.stack([a, b, x[..., :3], x[:, :, 3:]], axis=2)
    y = ops.take(ops.flip(ops.sort(y, axis=-1), axis=2), [0, 2], axis=-1)
    return Model(
        x, [ops.cumsum(y, axis=3), ops.norm(y, axis=(2, 3)), x[..., None], x[:, :, None, 0]]
    )


def one_hot_tokens():
    tokens = Input((None,), dtype="int32")
    return Model(tokens, gru(ops.one_hot(tokens, 4)))


def few_positions_and_a_fixed_batch():
    tokens = Input((None,), dtype="int32", batch_size=3)
    return Model(tokens, gru(PositionalEmbedding(9, 6, sequence_length=4)(tokens)))


def a_stateful_layer():
    x = Input((None, 6), batch_size=2)
    return Model(x, GRU(6, return_sequences=True, stateful=True)(x))


MODELS = [
    two_branches_and_outputs,
    shared_models_inside_models,
    a_decoder_inside_that_is_shared,
    a_model_inside_with_the_target_on_two_inputs,
    an_image_encoder,
    a_state_vector,
    a_recurrent_encoder_of_keras,
    attention_of_keras_to_the_context,
    an_output_without_the_target,
    attention_weights_as_outputs,
    two_targets,
    heads_made_and_merged_by_reshapes,
    a_fixed_length,
    operations_on_the_features,
    one_hot_tokens,
    few_positions_and_a_fixed_batch,
    a_stateful_layer,
]


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_models_of_many_shapes_keep_the_laws(build):
    model = shaken(build())
    targets = ["a", "b"] if build is two_targets else None
    assert Stepper(model, target=targets).check() < 1e-5
