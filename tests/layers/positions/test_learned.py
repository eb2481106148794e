import numpy as np
import pytest
from keras import ops

from keras_seq.layers import LearnedPositions
from keras_seq.testing import check_sequence_layer
from tests.layers.layer_equations import normal, randomise


def test_learned_positions_keep_the_contract():
    check_sequence_layer(LearnedPositions(6, position_offset=1), (2, 5, 4))


@pytest.mark.parametrize("offset", [0, 2])
def test_each_step_gets_the_row_of_its_position(offset):
    layer, x = LearnedPositions(7, position_offset=offset), normal(2, 5, 4)
    layer(x)
    (table,) = randomise(layer)
    assert table.shape == (7 + offset, 4)
    expected = x + table[offset : offset + 5]
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), expected, atol=1e-6)
    y, _ = layer(x[:, :2], initial_state={"position": 3}, return_state=True)
    np.testing.assert_allclose(ops.convert_to_numpy(y), x[:, :2] + table[offset + 3 :][:2])


def test_positions_begin_again_where_a_document_does():
    layer, x = LearnedPositions(3, position_offset=2), normal(2, 5, 4)
    layer(x[:, :2])
    (table,) = randomise(layer)
    reset = np.array([[0, 0, 1, 0, 0], [1, 0, 0, 1, 1]], bool)
    expected = x + table[2 + np.array([[0, 1, 0, 1, 2], [0, 1, 2, 0, 0]])]
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x, reset=reset)), expected, atol=1e-6)


def test_more_steps_than_positions_are_refused():
    with pytest.raises(ValueError, match=r"room for 3 time steps.*larger `sequence_length`"):
        LearnedPositions(3, position_offset=2)(normal(2, 4, 4))


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"sequence_length": 0}, "`sequence_length`.*sequence_length=0"),
        ({"position_offset": 1.5}, "`position_offset` of LearnedPositions.*position_offset=1.5"),
    ],
)
def test_bad_constructor_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        LearnedPositions(**{"sequence_length": 3, **arguments})
