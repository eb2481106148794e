"""Position schemes from outside the package: the examples of docs/extending/positions.md."""

import math

import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.layers import AlibiBias, PositionScheme, RelativePositionBias, RotaryEmbedding
from keras_seq.stepping import Stepper
from keras_seq.testing import check_sequence_layer
from tests.layers.attention.attention_equations import attention, band
from tests.layers.extending import lines_of_class, run_examples
from tests.layers.layer_equations import normal, randomise

LLAMA_3, T5 = (
    next(value for name, value in space.items() if name in ("Llama3Rotary", "CausalT5Bias"))
    for space in run_examples("positions.md")
)
SIZES = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 6}
TOKENS = np.array([[3, 4, 5, 0], [6, 7, 8, 9]])


def llama_3_frequency(frequency):
    """Llama 3.1's rule, case by case, of one frequency."""
    wavelength = 2 * math.pi / frequency
    if wavelength < 8192 / 4:
        return frequency
    if wavelength > 8192 / 1:
        return frequency / 8
    smooth = (8192 / wavelength - 1) / (4 - 1)
    return (1 - smooth) * frequency / 8 + smooth * frequency


def t5_bucket(distance, bidirectional, buckets=32, max_distance=128):
    """Raffel et al. 2020, the rule of the authors' code, for one distance."""
    first = 0
    if bidirectional:
        buckets //= 2
        first = buckets if distance < 0 else 0
        distance = abs(distance)
    distance, exact = max(distance, 0), buckets // 2
    if distance < exact:
        return first + distance
    growth = np.float32(math.log(distance / exact)) / np.float32(math.log(max_distance / exact))
    return first + min(exact + int(growth * (buckets - exact)), buckets - 1)


def test_the_frequencies_of_llama_3_are_its_rule():
    expected = [llama_3_frequency(500000.0 ** (-2 * i / 128)) for i in range(64)]
    np.testing.assert_allclose(LLAMA_3().inverse_frequencies(128), expected, rtol=1e-6)
    # All three cases occur.
    ratio = np.array(expected) * 500000.0 ** (2 * np.arange(64) / 128)
    assert ratio[0] == 1 and ratio[-1] == 1 / 8 and ((ratio > 1 / 8) & (ratio < 1)).any()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_buckets_of_t5_are_its_rule(bidirectional):
    distance = np.arange(-300, 301)[None]
    expected = [[t5_bucket(int(d), bidirectional) for d in distance[0]]]
    scheme = RelativePositionBias(bidirectional=bidirectional)
    got = ops.convert_to_numpy(scheme.buckets(ops.convert_to_tensor(distance, "int32")))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("scheme", [T5, RelativePositionBias])
def test_a_relative_bias_is_added_to_unscaled_scores(scheme):
    time = 40  # beyond the distances that have a bucket each
    positions = scheme()
    layer = ks.layers.MultiHeadSelfAttention(2, 3, causal=True, positions=positions, scale=1.0)
    x = normal(1, time, 4)
    layer(x)
    *weights, table = randomise(layer)
    distance = np.arange(time)[:, None] - np.arange(time)
    buckets = np.array([[t5_bucket(int(d), False) for d in row] for row in distance])
    bias = table[buckets].transpose(2, 0, 1)[None]
    weights[0], weights[1] = (w * np.sqrt(3) for w in weights[:2])  # the equation divides by it
    expected, _ = attention(x, x, weights, band(time), bias=bias)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), expected, atol=1e-4)


SCHEMES = [
    LLAMA_3,
    T5,
    lambda: RotaryEmbedding(500000.0),
    lambda: AlibiBias(4),
    lambda: RelativePositionBias(num_buckets=4, max_distance=3),
]
schemes = pytest.mark.parametrize("make", SCHEMES, ids=["llama 3", "t5", "rotary", "alibi", "bias"])


@pytest.mark.parametrize("make", [LLAMA_3, T5])
def test_attention_with_a_scheme_keeps_the_contract(make):
    layer = ks.layers.MultiHeadSelfAttention(2, 4, causal=True, positions=make())
    check_sequence_layer(layer, (2, 5, 4))


@schemes
def test_a_scheme_goes_with_a_sliding_window(make):
    windowed = ks.layers.MultiHeadSelfAttention(
        2, 4, causal=True, sliding_window=2, positions=make()
    )
    whole = ks.layers.MultiHeadSelfAttention(2, 4, causal=True, positions=make())
    x = normal(2, 7, 4)
    windowed(x), whole(x)
    whole.set_weights(randomise(windowed))
    near = np.where(band(7, 2), 0.0, -np.inf)[:, None].astype("float32")
    expected = ops.convert_to_numpy(whole(x, attention_bias=near))
    np.testing.assert_allclose(ops.convert_to_numpy(windowed(x)), expected, atol=1e-5)
    state, outputs = windowed.get_initial_state(2, max_length=7), []
    for part in (slice(0, 3), slice(3, 4), slice(4, 7)):
        y, state = windowed(x[:, part], initial_state=state, return_state=True)
        outputs.append(ops.convert_to_numpy(y))
    np.testing.assert_allclose(np.concatenate(outputs, axis=1), expected, atol=1e-5)


@pytest.mark.parametrize(
    "make, share", [(LLAMA_3, True), (T5, True), (T5, False), (lambda: RotaryEmbedding(5e5), True)]
)
def test_models_take_a_scheme_step_with_it_and_save_it(make, share, tmp_path):
    arguments = {**SIZES, "positions": make(), "share_positions": share, "sequence_length": None}
    model = ks.models.decoder_only_transformer(10, **arguments)
    encoder_decoder = ks.models.transformer(10, 10, **arguments)
    both = {"source": TOKENS, "target": TOKENS[:, ::-1].copy()}
    for one, inputs in ((model, TOKENS), (encoder_decoder, both)):
        assert Stepper(one).check() < 1e-4
        one.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert len(loaded.weights) == len(one.weights)
        got, expected = (ops.convert_to_numpy(m(inputs)) for m in (loaded, one))
        np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("share, tables", [(True, 1), (False, 3)])
def test_blocks_of_a_stack_share_a_table_or_have_one_each(share, tables):
    sizes = {**SIZES, "num_layers": 3, "positions": T5(), "share_positions": share}
    model = ks.models.decoder_only_transformer(10, **sizes)
    assert len([w for w in model.weights if w.path.endswith("table")]) == tables
    # Encoder and decoder share none.
    model = ks.models.transformer(10, 10, **{**sizes, "positions": T5()})
    assert len([w for w in model.weights if w.path.endswith("table")]) == 2 * tables


def test_encoder_and_decoder_may_have_schemes_of_their_own():
    positions = RelativePositionBias(bidirectional=True)
    model = ks.models.transformer(
        10, 10, **SIZES, positions=positions, decoder_positions=RelativePositionBias()
    )
    found = {
        layer.name: layer.self_attention.position_scheme.bidirectional
        for layer in model.layers
        if hasattr(layer, "self_attention")
    }
    assert found == {"encoder_0": True, "encoder_1": True, "decoder_0": False, "decoder_1": False}


def test_a_scheme_that_overrides_nothing_is_none_at_all():
    x = normal(2, 5, 4)
    layer = ks.layers.MultiHeadSelfAttention(2, 4, causal=True, positions=PositionScheme())
    plain = ks.layers.MultiHeadSelfAttention(2, 4, causal=True)
    layer(x), plain(x)
    plain.set_weights(randomise(layer))
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, (layer(x), plain(x))))


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"num_buckets": 0}, "`num_buckets`.*num_buckets=0"),
        ({"num_buckets": 2, "bidirectional": True}, "`num_buckets`.*4 if bidirectional"),
        ({"max_distance": 16}, "`max_distance` above the 16"),
    ],
)
def test_bad_buckets_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        RelativePositionBias(**arguments)


@pytest.mark.parametrize("name", ["Llama3Rotary", "CausalT5Bias"])
def test_a_scheme_is_short(name):
    assert lines_of_class("positions.md", name) <= 20
