import math

import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.layers import sinusoidal_positions
from keras_seq.layers._keras_private import get_mask
from keras_seq.testing import check_sequence_layer
from tests.layers.layer_equations import normal, randomise

TOKENS = np.array([[3, 1, 0, 0], [2, 2, 4, 1]])


@pytest.mark.parametrize(
    "arguments",
    [
        {"sequence_length": 7},
        {"sequence_length": 7, "kind": "interleaved", "scale_embeddings": False},
        {"sequence_length": 7, "kind": "learned"},
        {"kind": "none", "mask_zero": False},
    ],
)
def test_it_keeps_the_contract(arguments):
    check_sequence_layer(
        ks.layers.PositionalEmbedding(9, 4, **arguments), (2, 5), vocabulary_size=9
    )


def test_positions_are_the_papers_sines_and_cosines_in_two_halves_or_interleaved():
    halves, interleaved = sinusoidal_positions(6, 8), sinusoidal_positions(6, 8, "interleaved")
    for t in range(6):
        for i in range(4):
            angle = t / 10000 ** (2 * i / 8)
            for sine, cosine in (halves[t, [i, 4 + i]], interleaved[t, [2 * i, 2 * i + 1]]):
                assert sine == pytest.approx(math.sin(angle), abs=1e-6)
                assert cosine == pytest.approx(math.cos(angle), abs=1e-6)


@pytest.mark.parametrize("layout", ["halves", "interleaved"])
def test_a_shift_by_k_positions_is_one_linear_map_for_all_positions(layout):
    """The reason the paper gives for the choice (section 3.5)."""
    table = sinusoidal_positions(20, 8, layout).astype("float64")
    shift = np.linalg.lstsq(table[:-3], table[3:], rcond=None)[0]
    np.testing.assert_allclose(table[:-3] @ shift, table[3:], atol=1e-5)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("kind", ["sinusoidal", "interleaved", "learned", "none"])
def test_it_is_the_scaled_token_vector_plus_the_position(kind, scale):
    layer = ks.layers.PositionalEmbedding(5, 4, 7, kind=kind, scale_embeddings=scale)
    layer(TOKENS)
    embeddings, *rest = randomise(layer)
    positions = {
        "sinusoidal": sinusoidal_positions(7, 4),
        "interleaved": sinusoidal_positions(7, 4, "interleaved"),
        "learned": rest[0] if rest else None,
        "none": np.zeros((7, 4)),
    }
    size = 2.0 if scale else 1.0  # sqrt(D) = 2
    expected = size * embeddings[TOKENS] + positions[kind][:4]
    np.testing.assert_allclose(ops.convert_to_numpy(layer(TOKENS)), expected, atol=1e-5)


def test_reversed_it_gives_the_logits_of_tied_weights():
    layer, x = ks.layers.PositionalEmbedding(5, 4, 7), normal(2, 3, 4)
    layer(TOKENS)
    (embeddings,) = randomise(layer)
    expected = x @ embeddings.T
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x, reverse=True)), expected, atol=1e-5)
    y, state = layer.step(x[:, :1], layer.get_initial_state(2), reverse=True)
    np.testing.assert_allclose(ops.convert_to_numpy(y), expected[:, :1], atol=1e-5)
    assert int(state["position"]) == 0


def test_reversed_it_hands_on_the_mask_and_computes_in_its_policy():
    layer = ks.layers.PositionalEmbedding(5, 4, 7, dtype="mixed_bfloat16")
    y = layer(layer(TOKENS), reverse=True)
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    np.testing.assert_array_equal(ops.convert_to_numpy(get_mask(y)), TOKENS != 0)
    symbolic = layer(keras.Input((None, 4)), reverse=True)
    assert (symbolic.shape, symbolic.dtype) == ((None, None, 5), "bfloat16")


def test_reversed_it_adds_a_bias_where_asked_for():
    layer, x = ks.layers.PositionalEmbedding(5, 4, 7, use_reverse_bias=True), normal(2, 3, 4)
    layer(TOKENS)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.reverse_bias), 0)
    embeddings, bias = randomise(layer)
    expected = x @ embeddings.T + bias
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x, reverse=True)), expected, atol=1e-5)
    check_sequence_layer(layer, (2, 5), vocabulary_size=5, invariants=["config round trip"])


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_the_first_position_may_be_counted_as_another(kind):
    layer = ks.layers.PositionalEmbedding(5, 4, 7, kind=kind, position_offset=2)
    layer(TOKENS)
    embeddings, *rest = randomise(layer)
    table = rest[0] if rest else sinusoidal_positions(9, 4)
    assert table.shape == (9, 4)
    expected = 2 * embeddings[TOKENS] + table[2:6]
    np.testing.assert_allclose(ops.convert_to_numpy(layer(TOKENS)), expected, atol=1e-5)
    state = {"position": ops.convert_to_tensor(3, "int32")}
    y, _ = layer.step(TOKENS[:, :1], state)
    expected = 2 * embeddings[TOKENS[:, :1]] + table[5:6]
    np.testing.assert_allclose(ops.convert_to_numpy(y), expected, atol=1e-5)


RESET = np.array([[0, 0, 1, 0, 0, 0], [0, 1, 0, 1, 0, 1]], bool)
RESTARTED = np.array([[0, 1, 0, 1, 2, 3], [0, 0, 1, 0, 1, 0]])


@pytest.mark.parametrize("kind", ["sinusoidal", "learned", "none"])
def test_positions_begin_again_where_a_document_does(kind):
    # Of four positions: the row is longer, its documents are not.
    layer = ks.layers.PositionalEmbedding(5, 4, 4, kind=kind, position_offset=1)
    layer(TOKENS)
    embeddings, *rest = randomise(layer)
    table = {"sinusoidal": sinusoidal_positions(5, 4), "none": np.zeros((5, 4))}
    table = rest[0] if rest else table[kind]
    tokens = np.arange(12).reshape(2, 6) % 5
    expected = 2 * embeddings[tokens] + table[1 + RESTARTED]
    got = layer(tokens, reset=RESET)
    np.testing.assert_allclose(ops.convert_to_numpy(got), expected, atol=1e-5)
    logits = layer(got, reverse=True, reset=RESET)  # which knows no positions
    expected = ops.convert_to_numpy(layer(got, reverse=True))
    np.testing.assert_array_equal(ops.convert_to_numpy(logits), expected)


def test_a_document_beyond_the_positions_is_refused_or_in_a_graph_not_a_number():
    layer = ks.layers.PositionalEmbedding(5, 4, 3)
    tokens = np.ones((2, 6), "int32")
    with pytest.raises(ValueError, match="room for 3.*document is longer.*larger `sequence_len"):
        layer(tokens, reset=RESET)
    if keras.backend.backend() == "torch":  # it has no graph
        return
    inputs = [keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="bool")]
    model = keras.Model(inputs, layer(inputs[0], reset=inputs[1]))
    got = model.predict([tokens, RESET], verbose=0)
    np.testing.assert_array_equal(np.isnan(got).any(axis=-1), RESTARTED >= 3)


@pytest.mark.parametrize("padding_id", [0, 1, 4])
def test_any_id_may_be_the_padding(padding_id):
    layer = ks.layers.PositionalEmbedding(5, 4, 7, padding_id=padding_id)
    mask = ops.convert_to_numpy(get_mask(layer(TOKENS)))
    np.testing.assert_array_equal(mask, TOKENS != padding_id)


def test_a_single_call_may_ask_for_the_mask():
    layer = ks.layers.PositionalEmbedding(5, 4, 7, mask_zero=False, padding_id=1)
    assert get_mask(layer(TOKENS)) is None
    mask = ops.convert_to_numpy(get_mask(layer(TOKENS, mask_padding=True)))
    np.testing.assert_array_equal(mask, TOKENS != 1)


def test_reversed_it_wants_features():
    layer = ks.layers.PositionalEmbedding(5, 4, 7)
    layer(TOKENS)
    with pytest.raises(ValueError, match=r"`tokens` of PositionalEmbedding .*\(B, T, D\)"):
        layer(TOKENS, reverse=True)


@pytest.mark.parametrize("mask_zero", [True, False])
def test_zero_is_padding_where_asked_for(mask_zero):
    embed = ks.layers.PositionalEmbedding(5, 4, 7, mask_zero=mask_zero)
    gru = ks.layers.GRU(3)
    padded, short = (ops.convert_to_numpy(gru(embed(x))) for x in (TOKENS[:1], TOKENS[:1, :2]))
    assert np.allclose(padded, short, atol=1e-6) == mask_zero


def test_the_scaled_embedding_starts_with_unit_variance():
    layer = ks.layers.PositionalEmbedding(400, 64, 4, kind="none")
    y = ops.convert_to_numpy(layer(np.arange(400)[:, None]))
    assert abs(y.std() - 1) < 5 / math.sqrt(2 * y.size)


def test_token_ids_survive_16_bit_computation():
    layer = ks.layers.PositionalEmbedding(5000, 2, 4, kind="none", dtype="mixed_bfloat16")
    layer(np.array([[0]]))
    table = np.stack([np.arange(5000) % 7, np.arange(5000) % 5], axis=1)
    layer.set_weights([table])
    y = ops.convert_to_numpy(ops.cast(layer(np.array([[4097, 4999]])), "float32"))
    np.testing.assert_allclose(y[0], math.sqrt(2) * table[[4097, 4999]], rtol=0.01)


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"vocabulary_size": 0}, "`vocabulary_size`.*vocabulary_size=0"),
        ({"dim": 0}, "`dim`.*dim=0"),
        ({"dim": 3}, "`dim` must be even.*dim=3"),
        ({"sequence_length": "7"}, "`sequence_length`.*sequence_length='7'"),
        ({"dim": 3, "kind": "interleaved"}, "`dim` must be even.*dim=3"),
        ({"sequence_length": None}, "`sequence_length`.*sequence_length=None"),
        ({"padding_id": 5}, "`padding_id`.*\\[0, 5\\).*padding_id=5"),
        ({"position_offset": -1}, "`position_offset`.*position_offset=-1"),
        ({"kind": "rotary"}, "`kind`.*sinusoidal.*learned.*none.*'rotary'"),
    ],
)
def test_bad_constructor_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        arguments = {"vocabulary_size": 5, "dim": 4, "sequence_length": 7, **arguments}
        ks.layers.PositionalEmbedding(**arguments)


def test_bad_arguments_of_sinusoidal_positions_are_named():
    with pytest.raises(ValueError, match=r"`layout` of sinusoidal_positions.*'mixed'"):
        sinusoidal_positions(3, 4, "mixed")
    with pytest.raises(ValueError, match=r"`dim` must be even.*dim=5"):
        sinusoidal_positions(3, 5)
    with pytest.raises(ValueError, match=r"`sequence_length` of sinusoidal_positions"):
        sinusoidal_positions(0, 4)


def test_an_odd_width_is_fine_without_sines():
    layer = ks.layers.PositionalEmbedding(5, 3, 7, kind="learned")
    assert layer(TOKENS).shape == (2, 4, 3)


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_more_positions_than_there_are_is_refused(kind):
    layer = ks.layers.PositionalEmbedding(5, 4, 3, kind=kind)
    with pytest.raises(ValueError, match=r"3 time steps"):
        layer(TOKENS)
    with pytest.raises(ValueError, match=r"has 3 positions.*max_length=4.*`sequence_length`"):
        layer.get_initial_state(2, max_length=4)
    _, state = layer(TOKENS[:, :3], initial_state=layer.get_initial_state(2), return_state=True)
    with pytest.raises(ValueError, match=r"3 are taken: 1 more.*`sequence_length`"):
        layer.step(TOKENS[:, 3:], state)


def test_without_positions_there_is_no_longest_sequence():
    for length in (3, None):
        layer = ks.layers.PositionalEmbedding(5, 4, length, kind="none")
        assert layer(TOKENS).shape == (2, 4, 4)
        layer.get_initial_state(2, max_length=10)


def test_inputs_of_another_rank_are_refused():
    with pytest.raises(ValueError, match=r"`tokens` of PositionalEmbedding .*\(B, T\)"):
        ks.layers.PositionalEmbedding(5, 4, 3)(np.zeros((2, 3, 4), "int32"))
