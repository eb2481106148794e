import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import keras_seq as ks
from keras_seq.testing import check_sequence_layer
from tests.layers.attention.attention_equations import attention, band
from tests.layers.layer_equations import multi_head_attention, normal, randomise

MASK = np.array([[True, False, True, True, False], [True, True, False, False, True]])


def numpy(*tensors):
    return [ops.convert_to_numpy(t) for t in tensors]


def upto(time):
    return np.tril(np.ones((1, time, time), bool))


@pytest.mark.parametrize(
    "arguments",
    [
        {"causal": True},
        {},
        {"causal": True, "value_dim": 4, "use_bias": False, "dropout": 0.3},
        pytest.param({"causal": True, "positions": "rotary"}, marks=pytest.mark.thorough),
        pytest.param({"causal": True, "positions": "alibi"}, marks=pytest.mark.thorough),
    ],
    ids=["causal", "two-sided", "other-value-dim", "rotary", "alibi"],
)
def test_self_attention_keeps_the_contract(arguments):
    key_dim = 4 if arguments.get("positions") == "rotary" else 3  # rotation needs pairs
    check_sequence_layer(ks.layers.MultiHeadSelfAttention(2, key_dim, **arguments), (2, 5, 4))


@pytest.mark.parametrize("arguments", [{}, {"value_dim": 4, "use_bias": False, "dropout": 0.3}])
def test_cross_attention_keeps_the_contract(arguments):
    layer = ks.layers.MultiHeadCrossAttention(2, 3, **arguments)
    check_sequence_layer(layer, (2, 4, 4), context_shape=(2, 5, 6))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", [None, MASK, np.array([[False] * 5, [False] * 4 + [True]])])
def test_self_attention_is_the_papers_equations(causal, mask):
    layer, x = ks.layers.MultiHeadSelfAttention(2, 3, value_dim=4, causal=causal), normal(2, 5, 6)
    layer(x)
    weights = randomise(layer)
    visible = np.ones((2, 5, 5), bool) if mask is None else np.repeat(mask[:, None], 5, axis=1)
    visible = visible & upto(5) if causal else visible
    mask = None if mask is None else ops.convert_to_tensor(mask)
    got = numpy(*layer(x, mask=mask, return_attention_scores=True))
    for a, b in zip(got, multi_head_attention(x, x, weights, visible), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_cross_attention_is_the_papers_equations(masked):
    layer, x, context = ks.layers.MultiHeadCrossAttention(2, 3), normal(2, 4, 6), normal(2, 5, 7)
    layer(x, context)
    weights = randomise(layer)
    visible = np.repeat(MASK[:, None] | (not masked), 4, axis=1)
    mask = ops.convert_to_tensor(MASK) if masked else None
    got = numpy(*layer(x, context, context_mask=mask, return_attention_scores=True))
    for a, b in zip(got, multi_head_attention(x, context, weights, visible), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    heads=st.integers(1, 3),
    key_dim=st.integers(1, 4),
    time=st.integers(2, 6),
    causal=st.booleans(),
    use_bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_self_attention_gives_the_numbers_of_keras(heads, key_dim, time, causal, use_bias, seed):
    ours = ks.layers.MultiHeadSelfAttention(heads, key_dim, causal=causal, use_bias=use_bias)
    theirs = keras.layers.MultiHeadAttention(heads, key_dim, use_bias=use_bias)
    x = normal(2, time, 5, seed=seed)
    ours(x), theirs(x, x)
    randomise(ours, seed)
    theirs.set_weights(ours.get_weights())
    mask = np.random.default_rng(seed).random((2, time)) < 0.6
    mask[:, 0] = True  # where nothing is visible Keras looks everywhere, ours nowhere
    visible = ops.convert_to_tensor(np.repeat(mask[:, None], time, axis=1))
    theirs_y, theirs_scores = theirs(
        x, x, attention_mask=visible, use_causal_mask=causal, return_attention_scores=True
    )
    y, scores = ours(x, mask=ops.convert_to_tensor(mask), return_attention_scores=True)
    np.testing.assert_allclose(*numpy(y, theirs_y), atol=1e-5)
    np.testing.assert_allclose(*numpy(scores, theirs_scores), atol=1e-5)


@pytest.mark.parametrize(
    "value_dim",
    [
        None,
        pytest.param(
            4,
            marks=pytest.mark.needs_tensorflow(
                reason="keras.layers.MultiHeadAttention fails with value_dim != key_dim on JAX"
            ),
        ),
    ],
)
def test_cross_attention_gives_the_numbers_of_keras_with_weights_set_both_ways(value_dim):
    ours = ks.layers.MultiHeadCrossAttention(2, 3, value_dim=value_dim)
    theirs = keras.layers.MultiHeadAttention(2, 3, value_dim=value_dim)
    x, context = normal(2, 4, 6), normal(2, 5, 7)
    ours(x, context), theirs(x, context)
    randomise(theirs)
    ours.set_weights(theirs.get_weights())
    theirs.set_weights(ours.get_weights())
    visible = ops.convert_to_tensor(np.repeat(MASK[:, None], 4, axis=1))
    expected = theirs(x, context, attention_mask=visible)
    got = ours(x, context, context_mask=ops.convert_to_tensor(MASK))
    np.testing.assert_allclose(*numpy(got, expected), atol=1e-5)


@pytest.mark.parametrize("positions", ["rotary", "alibi", ks.layers.RotaryEmbedding(50, 2.0)])
def test_two_sided_attention_with_positions_keeps_the_contract(positions):
    layer = ks.layers.MultiHeadSelfAttention(2, 4, positions=positions)
    laws = ["padding changes nothing", "config round trip", "mixed precision"]
    check_sequence_layer(layer, (2, 5, 4), laws=laws)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("positions", ["rotary", "alibi"])
def test_positions_are_the_papers_equations(positions, causal):
    layer = ks.layers.MultiHeadSelfAttention(3, 4, causal=causal, positions=positions)
    x = normal(2, 5, 6)
    layer(x)
    weights = randomise(layer)
    visible = MASK[:, None] & band(5) if causal else MASK[:, None]
    got = layer(x, mask=ops.convert_to_tensor(MASK), return_attention_scores=True)
    for a, b in zip(numpy(*got), attention(x, x, weights, visible, positions), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_layer_of_positions_comes_back_with_the_configuration():
    positions = ks.layers.RotaryEmbedding(max_wavelength=50)
    layer = ks.layers.MultiHeadSelfAttention(2, 4, positions=positions)
    again = ks.layers.MultiHeadSelfAttention.from_config(layer.get_config())
    assert again.position_scheme.max_wavelength == 50
    alibi = ks.layers.MultiHeadSelfAttention(2, 4, positions="alibi").position_scheme
    assert alibi.alibi_bias_max == 8


@pytest.mark.parametrize("use_bias", [["query", "key", "value"], ["output"], []])
def test_each_projection_may_have_a_bias_or_none(use_bias):
    x = normal(2, 5, 6)
    for layer, inputs in (
        (ks.layers.MultiHeadSelfAttention(2, 3, use_bias=use_bias), (x,)),
        (ks.layers.MultiHeadCrossAttention(2, 3, use_bias=use_bias), (x, x)),
    ):
        layer(*inputs)
        names = ["query", "key", "value", "output"]
        assert [n for n in names if getattr(layer, f"{n}_bias") is not None] == use_bias
        randomise(layer)
        weights = []
        for name in names:
            bias = getattr(layer, f"{name}_bias")
            shape = (6,) if name == "output" else (2, 3)
            weights.append(ops.convert_to_numpy(getattr(layer, f"{name}_kernel")))
            weights.append(np.zeros(shape) if bias is None else ops.convert_to_numpy(bias))
        expected, _ = attention(x, x, weights, np.ones((2, 5, 5), bool))
        np.testing.assert_allclose(*numpy(layer(*inputs), expected), atol=1e-5)


def test_a_scale_takes_the_place_of_the_usual_one():
    layer, x = ks.layers.MultiHeadSelfAttention(2, 3, scale=0.25), normal(2, 5, 6)
    layer(x)
    weights = randomise(layer)
    weights[0], weights[1] = (0.25 * np.sqrt(3) * w for w in weights[:2])  # of the queries
    expected, _ = attention(x, x, weights, np.ones((2, 5, 5), bool))
    np.testing.assert_allclose(*numpy(layer(x), expected), atol=1e-5)
    assert layer.get_config()["scale"] == 0.25


@pytest.mark.parametrize("causal", [False, True])
def test_a_bias_is_added_to_the_scores_and_minus_infinity_hides(causal):
    layer, x = ks.layers.MultiHeadSelfAttention(2, 3, causal=causal), normal(2, 5, 6)
    layer(x)
    weights, bias = randomise(layer), normal(1, 2, 5, 5, seed=3)
    hidden = np.random.default_rng(0).random((5, 5)) < 0.3
    hidden[2] = True  # this position has nothing to look at
    bias = np.where(hidden, -np.inf, bias).astype("float32")
    got = layer(x, attention_bias=bias, return_attention_scores=True)
    bias = np.repeat(np.where(hidden, 0, bias), 2, axis=0)
    visible = ~hidden[None] & band(5) if causal else ~hidden[None]
    for a, b in zip(numpy(*got), attention(x, x, weights, visible, bias=bias), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_step_takes_its_bias_over_the_cache_and_gives_its_scores():
    layer, x = ks.layers.MultiHeadSelfAttention(2, 3, causal=True), normal(2, 5, 6)
    layer(x)
    bias = normal(1, 2, 5, 5, seed=3)
    whole, whole_scores = numpy(*layer(x, attention_bias=bias, return_attention_scores=True))
    state = layer.get_initial_state(2, max_length=5)
    for t in range(5):
        y, scores, state = layer.step(
            x[:, t : t + 1],
            state,
            attention_bias=bias[:, :, t : t + 1],
            return_attention_scores=True,
        )
        got = numpy(y, scores)
        np.testing.assert_allclose(got[0], whole[:, t : t + 1], atol=1e-5)
        np.testing.assert_allclose(got[1], whole_scores[:, :, t : t + 1], atol=1e-5)


def test_a_bias_of_cross_attention_is_added_in_call_and_step():
    layer, x, context = ks.layers.MultiHeadCrossAttention(2, 3), normal(2, 4, 6), normal(2, 5, 7)
    layer(x, context)
    weights, bias = randomise(layer), normal(2, 2, 4, 5, seed=3)
    expected, scores = attention(x, context, weights, np.ones((2, 4, 5), bool), bias=bias)
    (y,) = numpy(layer(x, context, attention_bias=bias))
    np.testing.assert_allclose(y, expected, atol=1e-5)
    state = layer.get_initial_state(2, context=context)
    y, got, _ = layer.step(
        x[:, 1:2], state, attention_bias=bias[:, :, 1:2], return_attention_scores=True
    )
    np.testing.assert_allclose(*numpy(y, expected[:, 1:2]), atol=1e-5)
    np.testing.assert_allclose(*numpy(got, scores[:, :, 1:2]), atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 5), (1, 3, 5, 5), (1, 1, 1, 4)])
def test_a_bias_that_does_not_fit_is_refused(shape):
    layer = ks.layers.MultiHeadSelfAttention(2, 3)
    with pytest.raises(ValueError, match=r"`attention_bias` of .*\(B, H, T, S\) = \(2, 2, 5, 5\)"):
        layer(normal(2, 5, 6), attention_bias=normal(*shape))


def test_a_bias_may_be_lists_and_is_no_mask():
    layer, x = ks.layers.MultiHeadSelfAttention(2, 3), normal(2, 5, 6)
    bias = np.eye(5, dtype="float32")[None, None]
    got = numpy(layer(x, attention_bias=bias), layer(x, attention_bias=bias.tolist()))
    np.testing.assert_array_equal(*got)
    with pytest.raises(TypeError, match="`attention_bias` of .*-inf hides.*booleans"):
        layer(x, attention_bias=bias > 0)


@pytest.mark.parametrize("causal", [False, True])
def test_self_attention_gives_the_numbers_of_torch(causal):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.MultiheadAttention(6, 2, batch_first=True)
    ours, x = ks.layers.MultiHeadSelfAttention(2, 3, causal=causal), normal(2, 5, 6)
    ours(x)
    wq, bq, wk, bk, wv, bv, wo, bo = randomise(ours)
    rows = [w.reshape(6, 6).T for w in (wq, wk, wv)]
    weights = {
        "in_proj_weight": np.concatenate(rows),
        "in_proj_bias": np.concatenate([b.reshape(6) for b in (bq, bk, bv)]),
        "out_proj.weight": wo.reshape(6, 6).T,
        "out_proj.bias": bo,
    }
    theirs.load_state_dict({n: torch.tensor(w, dtype=torch.float32) for n, w in weights.items()})
    mask = np.array([[True] * 3 + [False] * 2, [True] * 5])
    ahead = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1) if causal else None
    with torch.no_grad():
        expected = theirs(
            *[torch.tensor(x)] * 3,
            key_padding_mask=torch.tensor(~mask),
            attn_mask=ahead,
            average_attn_weights=False,
        )
    got = ours(x, mask=ops.convert_to_tensor(mask), return_attention_scores=True)
    for a, b in zip(numpy(*got), expected, strict=True):
        np.testing.assert_allclose(a, b.numpy(), atol=1e-5)


def test_the_context_of_a_state_is_projected_once():
    layer, x, context = ks.layers.MultiHeadCrossAttention(2, 3), normal(2, 4, 6), normal(2, 5, 7)
    whole = layer(x, context)
    state = layer.get_initial_state(2, context=context)
    layer.key_kernel.assign(0 * layer.key_kernel)  # must not matter any more
    y = layer(x, initial_state=state)
    np.testing.assert_allclose(*numpy(y, whole), atol=1e-6)


@pytest.mark.parametrize("cross", [False, True])
def test_dropout_drops_weights_in_training_and_keeps_the_expectation(cross):
    layer_class = ks.layers.MultiHeadCrossAttention if cross else ks.layers.MultiHeadSelfAttention
    layer = layer_class(1, 1, dropout=0.5, use_bias=False, seed=0)
    x = np.ones((1, 1500, 1), "float32")
    layer(*[x] * (1 + cross))
    for weight in layer.weights:
        weight.assign(np.ones(weight.shape))
    # All values are one, so y is the sum of the weights: one if none is dropped.
    np.testing.assert_allclose(*numpy(layer(*[x] * (1 + cross)), x), atol=1e-4)
    (y,) = numpy(layer(*[x] * (1 + cross), training=True))
    assert np.abs(y - 1).max() > 1e-3
    # Each y is a sum of 1500 weights, each 0 or 2 / 1500: it is off by about 1 / sqrt(1500).
    np.testing.assert_allclose(y, 1, atol=6 / np.sqrt(1500))


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"num_heads": 0}, "`num_heads`.*num_heads=0"),
        ({"key_dim": -1}, "`key_dim`.*key_dim=-1"),
        ({"key_dim": 2.5}, "`key_dim`.*key_dim=2.5"),
        ({"value_dim": -2}, "`value_dim`.*value_dim=-2"),
        ({"dropout": 1.5}, "`dropout`.*dropout=1.5"),
        ({"scale": 0}, "`scale`.*scale=0"),
        ({"use_bias": "keys"}, "`use_bias`.*'query', 'key'.*'keys'"),
    ],
)
@pytest.mark.parametrize("name", ["MultiHeadSelfAttention", "MultiHeadCrossAttention"])
def test_bad_constructor_arguments_are_named(name, arguments, named):
    with pytest.raises(ValueError, match=named):
        getattr(ks.layers, name)(**{"num_heads": 2, "key_dim": 3, **arguments})


@pytest.mark.parametrize("positions", ["sinusoidal", 3])
def test_unknown_positions_are_named(positions):
    with pytest.raises(ValueError, match=rf"`positions` .*'rotary', 'alibi'.*{positions!r}"):
        ks.layers.MultiHeadSelfAttention(2, 4, positions=positions)


def test_rotary_positions_need_an_even_width():
    layer = ks.layers.MultiHeadSelfAttention(2, 3, positions="rotary")
    with pytest.raises(ValueError, match="`key_dim`.*must be even.*Received: 3"):
        layer(normal(2, 4, 5))


def test_inputs_of_another_rank_are_refused():
    with pytest.raises(ValueError, match=r"`x` of MultiHeadSelfAttention .*\(B, T, D\)"):
        ks.layers.MultiHeadSelfAttention(2, 3)(normal(2, 4))
    with pytest.raises(ValueError, match=r"`context` of MultiHeadCrossAttention must have shape"):
        ks.layers.MultiHeadCrossAttention(2, 3)(normal(2, 4, 5), normal(2, 4))


def test_inputs_of_another_width_than_at_first_are_refused():
    x, narrow = normal(2, 4, 5), normal(2, 4, 3)
    own, cross = ks.layers.MultiHeadSelfAttention(2, 3), ks.layers.MultiHeadCrossAttention(2, 3)
    own(x), cross(x, x)
    for layer, *inputs in ((own, narrow), (cross, narrow, x), (cross, x, narrow)):
        with pytest.raises(ValueError, match=r"must have 5 features.*\(2, 4, 3\)"):
            layer(*inputs)


def test_a_cache_without_a_length_is_refused():
    layer = ks.layers.MultiHeadSelfAttention(2, 3, causal=True)
    with pytest.raises(ValueError, match=r"`max_length` of `get_initial_state`.*Received: None"):
        layer.get_initial_state(2)


def test_a_step_beyond_the_cache_is_refused():
    layer, x = ks.layers.MultiHeadSelfAttention(2, 3, causal=True), normal(2, 4, 5)
    layer(x)
    _, state = layer(x, initial_state=layer.get_initial_state(2, max_length=4), return_state=True)
    with pytest.raises(ValueError, match=r"4 time steps, and 4 are taken: 1 more.*`max_length`"):
        layer.step(x[:, :1], state)


def test_two_sided_attention_has_no_state():
    layer, x = ks.layers.MultiHeadSelfAttention(2, 3), normal(2, 4, 5)
    with pytest.raises(ValueError, match=r"not causal"):
        layer.get_initial_state(2, max_length=4)
    with pytest.raises(ValueError, match=r"not causal"):
        layer(x, return_state=True)


def test_a_missing_context_is_named():
    layer, x = ks.layers.MultiHeadCrossAttention(2, 3), normal(2, 4, 5)
    layer(x, x)
    with pytest.raises(ValueError, match=r"`context` of .*must be the sequence to attend to"):
        layer(x)


@pytest.mark.parametrize("window", [None, 2])
def test_a_mask_of_another_width_is_refused_with_and_without_a_state(window):
    layer = ks.layers.MultiHeadSelfAttention(2, 3, causal=True, sliding_window=window)
    x = normal(2, 5, 6)
    layer(x)
    state, refused = (
        layer.get_initial_state(2, max_length=6),
        r"`mask` of .*\(B, T\) = \(2, {}\).*{}",
    )
    with pytest.raises(ValueError, match=refused.format(1, r"\(2, 5\)")):
        layer.step(x[:, :1], state, mask=MASK)
    for mask in (MASK[:, :1], MASK[:1], MASK[0]):
        for start in (None, state):
            with pytest.raises(ValueError, match=refused.format(5, r"\(")):
                layer(x, mask=mask, initial_state=start)


@pytest.mark.parametrize(
    "layer", [ks.layers.MultiHeadCrossAttention(2, 3), ks.layers.AdditiveAttention(4)]
)
def test_a_mask_of_another_width_than_the_context_is_refused(layer):
    x, context = normal(2, 4, 6), normal(2, 5, 7)
    layer(x, context)
    with pytest.raises(ValueError, match=r"`context_mask` of .*\(B, S\) = \(2, 5\).*\(2, 4\)"):
        layer(x, context, context_mask=MASK[:, :4])


@pytest.mark.parametrize("window", [None, 2])
def test_a_state_of_other_rows_is_refused(window):
    """One row would be written into the first of two, and both would read it."""
    layer = ks.layers.MultiHeadSelfAttention(2, 3, causal=True, sliding_window=window)
    x = normal(2, 4, 5)
    layer(x)
    with pytest.raises(ValueError, match=r"`x` of .* must have the 2 rows.*\(1, 1, 5\)"):
        layer.step(x[:1, :1], layer.get_initial_state(2, max_length=4))
    for wrong in ({"self": layer.get_initial_state(2, max_length=4)}, 3):
        with pytest.raises(ValueError, match=r"`initial_state` of .*Received: (\[.self.\]|int)"):
            layer.step(x[:, :1], wrong)
