import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.testing import check_sequence_layer
from tests.layers.blocks.block_equations import attend, forward, residual
from tests.layers.layer_equations import normal, randomise

UPTO = np.repeat(np.tril(np.ones((1, 4, 4), bool)), 2, axis=0)


def decoder(**arguments):
    return ks.layers.TransformerDecoderBlock(6, 2, **arguments)


def numpy(x):
    return ops.convert_to_numpy(x)


def test_the_decoder_block_keeps_the_contract():
    check_sequence_layer(decoder(), (2, 4, 4), context_shape=(2, 3, 5))


def test_the_decoder_block_keeps_the_invariants_of_time_without_a_source():
    invariants = [
        "stepping equals calling",
        "padding changes nothing",
        "the future changes nothing",
    ]
    check_sequence_layer(decoder(), (2, 4, 4), invariants=invariants)


@pytest.mark.parametrize(
    "arguments", [{}, {"normalize_first": True}, {"normalization": "rms", "use_bias": False}]
)
def test_the_decoder_block_is_the_papers_equations(arguments):
    block = decoder(**arguments)
    x, context = normal(2, 4, 4), normal(2, 3, 5, seed=2)
    block(x, context)
    randomise(block)
    source_mask = np.array([[True, False, True], [True, True, False]])
    source = np.repeat(source_mask[:, None], 4, axis=1)
    sublayers = [
        (attend(block.self_attention, UPTO), block.self_attention_norm),
        (attend(block.cross_attention, source, context), block.cross_attention_norm),
        (forward(block.feed_forward), block.feed_forward_norm),
    ]
    y = x
    for sublayer, norm in sublayers:
        y = residual(y, sublayer, norm, block.normalize_first)
    got = block(x, context, context_mask=ops.convert_to_tensor(source_mask))
    np.testing.assert_allclose(numpy(got), y, atol=1e-4)


def test_without_a_source_it_is_the_causal_encoder_block():
    arguments = {"normalize_first": True, "positions": "alibi", "use_attention_bias": False}
    block, x = decoder(**arguments), normal(2, 4, 4)
    peer = ks.layers.TransformerEncoderBlock(6, 2, causal=True, **arguments)
    block(x), peer(x)
    randomise(block)
    peer.set_weights(block.get_weights())
    mask = ops.convert_to_tensor([[True] * 4, [True, False, True, False]])
    expected = numpy(peer(x, mask=mask))
    np.testing.assert_allclose(numpy(block(x, mask=mask)), expected, atol=1e-6)
    state = block.get_initial_state(2, max_length=4)
    assert list(state) == ["self"]
    y, state = block(x[:, :2], mask=mask[:, :2], initial_state=state, return_state=True)
    np.testing.assert_allclose(numpy(y), expected[:, :2], atol=1e-5)
    y, state = block.step(x[:, 2:3], state, mask=mask[:, 2:3])
    np.testing.assert_allclose(numpy(y), expected[:, 2:3], atol=1e-5)


def test_scores_are_those_of_the_attentions_inside():
    block, x, context = decoder(), normal(2, 4, 4), normal(2, 3, 5)
    _, cross = block(x, context, return_attention_scores=True)
    _, both = block(x, context, return_attention_scores="both")
    _, own = block.self_attention(x, return_attention_scores=True)
    assert sorted(both) == ["cross", "self"]
    np.testing.assert_allclose(numpy(both["self"]), numpy(own), atol=1e-6)
    np.testing.assert_array_equal(numpy(both["cross"]), numpy(cross))
    assert cross.shape == (2, 2, 4, 3)
    state = block.get_initial_state(2, max_length=4, context=context)
    for t in range(4):
        _, scores, state = block.step(x[:, t : t + 1], state, return_attention_scores="both")
        for name, whole in both.items():
            expected = numpy(whole)[:, :, t : t + 1]
            np.testing.assert_allclose(numpy(scores[name]), expected, atol=1e-6)


def test_scores_without_a_source_are_those_of_the_self_attention():
    block, x = decoder(), normal(2, 4, 4)
    _, scores = block(x, return_attention_scores=True)
    _, both = block(x, return_attention_scores="both")
    assert scores.shape == (2, 2, 4, 4) and list(both) == ["self"]
    np.testing.assert_array_equal(numpy(both["self"]), numpy(scores))
    with pytest.raises(ValueError, match=r"`return_attention_scores`.*'both'.*'cross'"):
        block(x, return_attention_scores="cross")


def test_a_source_is_wanted_where_there_was_one_and_refused_where_there_was_none():
    x = normal(2, 4, 4)
    with_source, without = decoder(), decoder()
    with_source(x, x), without(x)
    with pytest.raises(ValueError, match=r"`context`"):
        with_source(x)
    with pytest.raises(ValueError, match=r"`context`"):
        with_source.get_initial_state(2, 5)
    for refused in (lambda: without(x, x), lambda: without.get_initial_state(2, 5, context=x)):
        with pytest.raises(ValueError, match=r"built without `context`.*shape \(2, 4, 4\)"):
            refused()


def test_a_step_beyond_the_cache_is_refused():
    block, x = decoder(), normal(2, 4, 4)
    block(x, x)
    state = block.get_initial_state(2, max_length=3, context=x)
    with pytest.raises(ValueError, match=r"3 time steps, and 0 are taken: 4 more.*`max_length`"):
        block(x, initial_state=state, return_state=True)


def test_a_block_that_is_not_causal_has_queries_that_see_each_other():
    block, x, context = decoder(causal=False), normal(2, 4, 4), normal(2, 3, 5, seed=2)
    block(x, context)
    randomise(block)
    y = x
    for sublayer, norm in [
        (attend(block.self_attention, np.ones((2, 4, 4), bool)), block.self_attention_norm),
        (
            attend(block.cross_attention, np.ones((2, 4, 3), bool), context),
            block.cross_attention_norm,
        ),
        (forward(block.feed_forward), block.feed_forward_norm),
    ]:
        y = residual(y, sublayer, norm, block.normalize_first)
    np.testing.assert_allclose(numpy(block(x, context)), y, atol=1e-4)
    assert type(block).from_config(block.get_config()).causal is False


def test_a_block_that_is_not_causal_has_no_steps():
    block = decoder(causal=False)
    block(normal(2, 4, 4), normal(2, 3, 5))
    with pytest.raises(ValueError, match="is not causal"):
        block.get_initial_state(2, 4, context=normal(2, 3, 5))
    with pytest.raises(ValueError, match="`sliding_window` of TransformerDecoderBlock"):
        decoder(causal=False, sliding_window=2)
