import math

import numpy as np
import pytest
from keras import ops
from layer_equations import randomise

import keras_seq as ks
from keras_seq.layers import sinusoidal_positions
from keras_seq.testing import check_sequence_layer

TOKENS = np.array([[3, 1, 0, 0], [2, 2, 4, 1]])


@pytest.mark.parametrize("kind", ["sinusoidal", "learned", "none"])
def test_it_keeps_the_laws(kind):
    layer = ks.layers.PositionalEmbedding(9, 4, 7, kind=kind)
    check_sequence_layer(layer, (2, 5), vocabulary_size=9)


def test_positions_are_the_papers_sines_and_cosines_in_two_halves():
    table = sinusoidal_positions(6, 8)
    for t in range(6):
        for i in range(4):
            angle = t / 10000 ** (2 * i / 8)
            assert table[t, i] == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[t, 4 + i] == pytest.approx(math.cos(angle), abs=1e-6)


def test_a_shift_by_k_positions_is_one_linear_map_for_all_positions():
    """The reason the paper gives for the choice (section 3.5)."""
    table = sinusoidal_positions(20, 8).astype("float64")
    shift = np.linalg.lstsq(table[:-3], table[3:], rcond=None)[0]
    np.testing.assert_allclose(table[:-3] @ shift, table[3:], atol=1e-5)


@pytest.mark.parametrize("kind", ["sinusoidal", "learned", "none"])
def test_it_is_the_scaled_token_vector_plus_the_position(kind):
    layer = ks.layers.PositionalEmbedding(5, 4, 7, kind=kind)
    layer(TOKENS)
    embeddings, *rest = randomise(layer)
    positions = {"sinusoidal": sinusoidal_positions(7, 4), "none": np.zeros((7, 4))}
    positions["learned"] = rest[0] if rest else None
    expected = 2.0 * embeddings[TOKENS] + positions[kind][:4]  # sqrt(D) = 2
    np.testing.assert_allclose(ops.convert_to_numpy(layer(TOKENS)), expected, atol=1e-5)


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
        ({"kind": "rotary"}, "`kind`.*sinusoidal.*learned.*none.*'rotary'"),
    ],
)
def test_bad_constructor_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        arguments = {"vocabulary_size": 5, "dim": 4, "sequence_length": 7, **arguments}
        ks.layers.PositionalEmbedding(**arguments)


def test_an_odd_width_is_fine_without_sines():
    layer = ks.layers.PositionalEmbedding(5, 3, 7, kind="learned")
    assert layer(TOKENS).shape == (2, 4, 3)


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_more_positions_than_there_are_is_refused(kind):
    layer = ks.layers.PositionalEmbedding(5, 4, 3, kind=kind)
    with pytest.raises(ValueError, match=r"3 time steps"):
        layer(TOKENS)
    with pytest.raises(ValueError, match=r"has 3 positions.*max_length=4.*`sequence_length`"):
        layer.initial_state(2, max_length=4)
    _, state = layer(TOKENS[:, :3], initial_state=layer.initial_state(2), return_state=True)
    with pytest.raises(ValueError, match=r"3 are taken: 1 more.*`sequence_length`"):
        layer.step(TOKENS[:, 3:], state)


def test_without_positions_there_is_no_longest_sequence():
    layer = ks.layers.PositionalEmbedding(5, 4, 3, kind="none")
    assert layer(TOKENS).shape == (2, 4, 4)
    layer.initial_state(2, max_length=10)


def test_inputs_of_another_rank_are_refused():
    with pytest.raises(ValueError, match=r"`tokens` of PositionalEmbedding .*\(B, T\)"):
        ks.layers.PositionalEmbedding(5, 4, 3)(np.zeros((2, 3, 4), "int32"))
