"""NaN and infinity reach those who attend to them, and nobody else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import keras_seq as ks
from tests.layers.attention.attention_equations import band
from tests.layers.layer_equations import normal

B, T, S, D = 2, 6, 5, 4
examples = settings(max_examples=8, deadline=None, derandomize=True)
many_shapes = pytest.mark.needs_tensorflow(
    reason="eager JAX compiles each operation anew for each shape"
)
SELF = {
    "two-sided": ks.layers.MultiHeadSelfAttention(2, 2),
    "causal": ks.layers.MultiHeadSelfAttention(2, 2, causal=True),
    "rotary": ks.layers.MultiHeadSelfAttention(2, 2, causal=True, positions="rotary"),
    "grouped": ks.layers.MultiHeadSelfAttention(
        2, 2, value_dim=3, causal=True, num_key_value_heads=1, positions="alibi"
    ),
    "window": ks.layers.MultiHeadSelfAttention(2, 2, causal=True, sliding_window=2),
    "long window": ks.layers.MultiHeadSelfAttention(2, 2, causal=True, sliding_window=4),
    "encoder": ks.layers.TransformerEncoderBlock(5, 2),
    "causal encoder": ks.layers.TransformerEncoderBlock(5, 2, causal=True, normalize_first=True),
    "decoder": ks.layers.TransformerDecoderBlock(5, 2, sliding_window=3),
}
CROSS = {
    "cross": ks.layers.MultiHeadCrossAttention(2, 2),
    "additive": ks.layers.AdditiveAttention(3),
    "dot": ks.layers.DotAttention(),
    "general": ks.layers.DotAttention("general"),
    "decoder": ks.layers.TransformerDecoderBlock(5, 2),
}


def visible_from(layer):
    """(1, T, T) boolean: which position may look at which."""
    causal = layer.causal
    return band(T, getattr(layer, "sliding_window", None)) if causal else np.ones((1, T, T), bool)


def placed(seed, shape, value, probability=0.25):
    """`(x, spoiled, bad)`: a finite sequence, one with `value` in it, and where, (B, length)."""
    rng = np.random.default_rng(seed)
    x = normal(*shape, seed=seed)
    bad = rng.random(shape[:2]) < probability
    feature = rng.integers(shape[2], size=shape[:2])[..., None] == np.arange(shape[2])
    return x, np.where(bad[..., None] & feature, np.float32(value), x), bad


def call(layer, *inputs, **masks):
    masks = {name: ops.convert_to_tensor(mask) for name, mask in masks.items()}
    return ops.convert_to_numpy(layer(*inputs, **masks))


def in_steps(layer, x, mask, lengths=(2, 1, 1, 2), **context):
    state = layer.get_initial_state(B, max_length=T, **context)
    outputs, start = [], 0
    for length in lengths:
        part = slice(start, start + length)
        y, state = layer.step(x[:, part], state, mask=ops.convert_to_tensor(mask[:, part]))
        outputs.append(ops.convert_to_numpy(y))
        start += length
    return np.concatenate(outputs, axis=1)


def check(got, expected, affected, unaffected):
    np.testing.assert_allclose(got[unaffected], expected[unaffected], atol=1e-5)
    assert np.isnan(got[affected]).any(axis=-1).all()


@many_shapes
@pytest.mark.parametrize("name", SELF)
@examples
@given(
    seed=st.integers(0, 999), value=st.sampled_from([np.nan, np.inf, -np.inf]), masked=st.booleans()
)
def test_a_sequence_that_attends_to_itself(name, seed, value, masked):
    layer = SELF[name]
    x, spoiled, bad = placed(seed, (B, T, D), value)
    mask = np.random.default_rng(seed + 1).random((B, T)) < 0.6 if masked else np.ones((B, T), bool)
    given_mask = {"mask": mask} if masked else {}
    expected = call(layer, x, **given_mask)
    reached = (bad[:, None] & mask[:, None] & visible_from(layer)).any(axis=-1)
    # At a masked position that is bad itself the query is: its output may be anything.
    unaffected = ~reached & ~bad
    check(call(layer, spoiled, **given_mask), expected, reached, unaffected)
    if layer.causal:
        check(in_steps(layer, spoiled, mask), expected, reached, unaffected)


@many_shapes
@pytest.mark.parametrize("name", CROSS)
@examples
@given(
    seed=st.integers(0, 999), value=st.sampled_from([np.nan, np.inf, -np.inf]), masked=st.booleans()
)
def test_a_context_that_is_attended_to(name, seed, value, masked):
    layer, x = CROSS[name], normal(B, T, D)
    context, spoiled, bad = placed(seed, (B, S, D), value, probability=0.15)
    valid = np.random.default_rng(seed).random((B, S)) < 0.5 if masked else np.ones((B, S), bool)
    expected = call(layer, x, context, context_mask=valid)
    reached = np.repeat((bad & valid).any(axis=-1, keepdims=True), T, axis=1)
    check(call(layer, x, spoiled, context_mask=valid), expected, reached, ~reached)
    stepped = in_steps(
        layer,
        x,
        np.ones((B, T), bool),
        context=ops.convert_to_tensor(spoiled),
        context_mask=ops.convert_to_tensor(valid),
    )
    check(stepped, expected, reached, ~reached)


@pytest.mark.parametrize("name", [name for name in CROSS if name != "decoder"])
def test_a_query_that_is_nan_spoils_its_own_step_only(name):
    layer, x, context = CROSS[name], normal(B, T, D), normal(B, S, D, seed=2)
    expected = call(layer, x, context)
    bad = np.zeros((B, T), bool)
    bad[0, 2] = bad[1, 4] = True
    got = call(layer, np.where(bad[..., None], np.float32(np.nan), x), context)
    check(got, expected, bad, ~bad)


@pytest.mark.parametrize("layer", [SELF["causal"], SELF["window"]])
def test_attention_to_a_single_position_that_is_nan_gives_nan(layer):
    x = np.full((B, 1, D), np.nan, "float32")
    assert np.isnan(call(layer, x)).all()


def test_a_bias_that_is_nan_reaches_its_query_only():
    layer, x = ks.layers.MultiHeadSelfAttention(2, 2, causal=True), normal(B, T, D)
    bias = np.zeros((1, 1, T, T), "float32")
    expected = call(layer, x)
    bias[..., 3, 1] = bias[..., 2, 5] = np.nan  # position 2 does not look at 5
    bad = np.repeat(np.arange(T)[None] == 3, B, axis=0)
    check(ops.convert_to_numpy(layer(x, attention_bias=bias)), expected, bad, ~bad)


@pytest.mark.parametrize("positions", [None, "rotary"])
def test_a_model_padded_with_nan_gives_the_outputs_of_a_shorter_sequence(positions):
    blocks = [
        ks.layers.TransformerEncoderBlock(5, 2, positions=positions),
        ks.layers.TransformerEncoderBlock(5, 2, causal=True, positions=positions),
    ]
    x = y = normal(B, 4, D)
    padded = np.concatenate([x, np.full((B, 2, D), np.nan, "float32")], axis=1)
    mask = np.repeat(np.arange(T)[None] < 4, B, axis=0)
    for block in blocks:
        y, padded = call(block, y), call(block, padded, mask=mask)
    np.testing.assert_allclose(padded[:, :4], y, atol=1e-5)
