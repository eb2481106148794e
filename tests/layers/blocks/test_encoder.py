import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.testing import check_sequence_layer
from tests.layers.blocks.block_equations import attend, forward, residual
from tests.layers.layer_equations import normal, randomise


def encoder(**arguments):
    return ks.layers.TransformerEncoderBlock(6, 2, **arguments)


MODERN = {"normalization": "rms", "gated": True, "use_bias": False, "normalize_first": True}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"causal": True, "dropout": 0.3, "num_key_value_heads": 1, "positions": "rotary", **MODERN},
    ],
    ids=["two-sided-post-norm", "causal-modern"],
)
def test_the_encoder_block_keeps_the_contract(arguments):
    check_sequence_layer(encoder(**arguments), (2, 4, 4))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [{}, {"normalize_first": True}, MODERN, {"use_attention_bias": False, "normalization": "rms"}],
    ids=["post-norm", "pre-norm", "modern", "mixed"],
)
def test_the_encoder_block_is_the_papers_equations(arguments, causal):
    block, x = encoder(causal=causal, **arguments), normal(2, 4, 4)
    block(x)
    randomise(block)
    mask = np.array([[True] * 4, [True, True, False, False]])
    visible = np.repeat(mask[:, None], 4, axis=1)
    visible = visible & np.tril(np.ones((4, 4), bool)) if causal else visible
    first = block.normalize_first
    y = residual(x, attend(block.self_attention, visible), block.self_attention_norm, first)
    y = residual(y, forward(block.feed_forward), block.feed_forward_norm, first)
    got = ops.convert_to_numpy(block(x, mask=ops.convert_to_tensor(mask)))
    np.testing.assert_allclose(got, y, atol=1e-4)


def test_scores_are_those_of_the_attention_inside():
    block, x = encoder(causal=True), normal(2, 4, 4)
    _, scores = block(x, return_attention_scores=True)
    _, expected = block.self_attention(x, return_attention_scores=True)
    np.testing.assert_allclose(*map(ops.convert_to_numpy, (scores, expected)), atol=1e-6)
    state = block.get_initial_state(2, max_length=4)
    _, stepped, _ = block.step(x[:, :1], state, return_attention_scores=True)
    np.testing.assert_allclose(ops.convert_to_numpy(stepped)[..., 0, 0], 1, atol=1e-6)


def test_a_two_sided_encoder_block_cannot_be_stepped():
    block, x = encoder(), normal(2, 4, 4)
    block(x)
    with pytest.raises(ValueError, match=r"TransformerEncoderBlock. is not causal"):
        block.get_initial_state(2, max_length=4)
    with pytest.raises(ValueError, match=r"TransformerEncoderBlock. is not causal"):
        block.step(x[:, :1], ())
