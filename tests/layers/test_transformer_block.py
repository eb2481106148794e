import numpy as np
import pytest
from keras import ops
from layer_equations import feed_forward, layer_norm, multi_head_attention, normal, randomise

import keras_seq as ks
from keras_seq.testing import check_sequence_layer

EPSILON = 1e-5
norms = pytest.mark.parametrize("normalize_first", [False, True], ids=["post-norm", "pre-norm"])


def encoder(**arguments):
    return ks.layers.TransformerEncoderBlock(6, 2, **arguments)


def decoder(**arguments):
    return ks.layers.TransformerDecoderBlock(6, 2, **arguments)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"causal": True, "normalize_first": True, "dropout": 0.3}],
    ids=["two-sided-post-norm", "causal-pre-norm"],
)
def test_the_encoder_block_keeps_the_laws(arguments):
    check_sequence_layer(encoder(**arguments), (2, 4, 4))


@pytest.mark.parametrize("arguments", [{}, {"normalize_first": True, "activation": "gelu"}])
def test_the_decoder_block_keeps_the_laws(arguments):
    check_sequence_layer(decoder(**arguments), (2, 4, 4), context_shape=(2, 3, 5))


def residual(x, sublayer, norm, normalize_first):
    """`norm(x + f(x))`, or `x + f(norm(x))`."""
    gamma, beta = norm
    if normalize_first:
        return x + sublayer(layer_norm(x, gamma, beta, EPSILON))
    return layer_norm(x + sublayer(x), gamma, beta, EPSILON)


def weights_of(sublayer):
    return [ops.convert_to_numpy(w).astype("float64") for w in sublayer.weights]


def attend(sublayer, visible, context=None):
    def attention(x):
        source = x if context is None else context
        return multi_head_attention(x, source, weights_of(sublayer), visible)[0]

    return attention


def forward(sublayer):
    return lambda x: feed_forward(x, *weights_of(sublayer))


@norms
@pytest.mark.parametrize("causal", [False, True])
def test_the_encoder_block_is_the_papers_equations(normalize_first, causal):
    block, x = encoder(normalize_first=normalize_first, causal=causal), normal(2, 4, 4)
    block(x)
    randomise(block)
    mask = np.array([[True] * 4, [True, True, False, False]])
    visible = np.repeat(mask[:, None], 4, axis=1)
    visible = visible & np.tril(np.ones((4, 4), bool)) if causal else visible
    y = residual(
        x,
        attend(block.self_attention, visible),
        weights_of(block.self_attention_norm),
        normalize_first,
    )
    norm = weights_of(block.feed_forward_norm)
    y = residual(y, forward(block.feed_forward), norm, normalize_first)
    got = ops.convert_to_numpy(block(x, mask=ops.convert_to_tensor(mask)))
    np.testing.assert_allclose(got, y, atol=1e-4)


@norms
def test_the_decoder_block_is_the_papers_equations(normalize_first):
    block = decoder(normalize_first=normalize_first)
    x, context = normal(2, 4, 4), normal(2, 3, 5, seed=2)
    block(x, context)
    randomise(block)
    source_mask = np.array([[True, False, True], [True, True, False]])
    upto = np.repeat(np.tril(np.ones((1, 4, 4), bool)), 2, axis=0)
    source = np.repeat(source_mask[:, None], 4, axis=1)
    sublayers = [
        (attend(block.self_attention, upto), block.self_attention_norm),
        (attend(block.cross_attention, source, context), block.cross_attention_norm),
        (forward(block.feed_forward), block.feed_forward_norm),
    ]
    y = x
    for sublayer, norm in sublayers:
        y = residual(y, sublayer, weights_of(norm), normalize_first)
    got = block(x, context, context_mask=ops.convert_to_tensor(source_mask))
    np.testing.assert_allclose(ops.convert_to_numpy(got), y, atol=1e-4)


def test_scores_are_those_of_the_attention_inside():
    x, context = normal(2, 4, 4), normal(2, 3, 5)
    _, scores = encoder()(x, return_attention_scores=True)
    assert scores.shape == (2, 2, 4, 4)
    _, scores = decoder()(x, context, return_attention_scores=True)
    assert scores.shape == (2, 2, 4, 3)
    np.testing.assert_allclose(ops.convert_to_numpy(scores).sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("make", [encoder, decoder])
def test_dropout_acts_in_training_only(make):
    block, x = make(dropout=0.5, seed=0), normal(2, 4, 4)
    inputs = [x] if make is encoder else [x, normal(2, 3, 5)]
    plain, again, training = (
        ops.convert_to_numpy(block(*inputs, training=t)) for t in (False, False, True)
    )
    np.testing.assert_array_equal(plain, again)
    assert np.abs(plain - training).max() > 0.01


def test_dropout_keeps_the_expectation_of_each_sublayer():
    block = encoder(normalize_first=True, dropout=0.5, seed=0)
    x = np.ones((3000, 1, 4), "float32")
    block(x)
    for weight in block.feed_forward.weights[:3]:
        weight.assign(np.zeros(weight.shape))
    block.feed_forward.outer_bias.assign(np.ones(4))  # so the sublayer's output is one
    for weight in block.self_attention.weights:
        weight.assign(np.zeros(weight.shape))
    y = ops.convert_to_numpy(block(x, training=True)) - x
    assert set(np.unique(y)) == {0.0, 2.0}  # dropped, or scaled by 1 / (1 - 0.5)
    assert abs(y.mean() - 1) < 5 / np.sqrt(y.size)


@pytest.mark.parametrize("make", [encoder, decoder])
def test_features_that_the_heads_cannot_share_are_refused(make):
    inputs = [normal(2, 4, 5)] if make is encoder else [normal(2, 4, 5), normal(2, 3, 5)]
    with pytest.raises(ValueError, match=r"multiple of `num_heads`.*D=5, num_heads=2"):
        make()(*inputs)


@pytest.mark.parametrize(
    "layer", [ks.layers.TransformerEncoderBlock, ks.layers.TransformerDecoderBlock]
)
@pytest.mark.parametrize("arguments, named", [
    ({"intermediate_dim": 0}, "`intermediate_dim`.*intermediate_dim=0"),
    ({"num_heads": 1.5}, "`num_heads`.*num_heads=1.5"),
    ({"dropout": 1}, "`dropout`.*dropout=1"),
])  # fmt: skip
def test_bad_constructor_arguments_are_named(layer, arguments, named):
    with pytest.raises(ValueError, match=named):
        layer(**{"intermediate_dim": 6, "num_heads": 2, **arguments})


def test_a_decoder_block_without_a_context_says_so():
    block, x = decoder(), normal(2, 4, 4)
    block(x, x)
    with pytest.raises(ValueError, match=r"`context`"):
        block(x)
    with pytest.raises(ValueError, match=r"`context`"):
        block.initial_state(2, 5)


def test_a_two_sided_encoder_block_cannot_be_stepped():
    block, x = encoder(), normal(2, 4, 4)
    block(x)
    with pytest.raises(ValueError, match=r"TransformerEncoderBlock. is not causal"):
        block.initial_state(2, max_length=4)
    with pytest.raises(ValueError, match=r"TransformerEncoderBlock. is not causal"):
        block.step(x[:, :1], ())


def test_a_step_beyond_the_cache_is_refused():
    block, x = decoder(), normal(2, 4, 4)
    block(x, x)
    state = block.initial_state(2, max_length=3, context=x)
    with pytest.raises(ValueError, match=r"3 time steps, and 0 are taken: 4 more.*`max_length`"):
        block(x, initial_state=state, return_state=True)
