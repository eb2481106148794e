import numpy as np
import pytest
from keras import ops

from keras_seq.layers import RowColumnPositions
from keras_seq.testing import check_sequence_layer
from tests.layers.layer_equations import normal, randomise

numpy = ops.convert_to_numpy


@pytest.mark.parametrize("prefix_length", [0, 2])
def test_row_and_column_positions_keep_the_contract(prefix_length):
    check_sequence_layer(RowColumnPositions(2, 3, prefix_length), (2, 5, 4))


def test_a_step_of_the_grid_gets_its_row_and_its_column_one_before_it_a_vector_of_its_own():
    layer, x = RowColumnPositions(2, 3, prefix_length=4), normal(2, 10, 5)
    layer(x)
    prefix, rows, columns = randomise(layer)
    grid = [rows[i] + columns[j] for i in range(2) for j in range(3)]
    np.testing.assert_allclose(numpy(layer(x)), x + np.concatenate([prefix, grid]), atol=1e-6)
    assert layer.count_params() == (4 + 2 + 3) * 5


def test_more_steps_than_positions_are_refused():
    with pytest.raises(ValueError, match="room for 10 time steps"):
        RowColumnPositions(2, 3, prefix_length=4)(normal(2, 11, 4))


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"height": 0}, "`height` of RowColumnPositions.*height=0"),
        ({"prefix_length": -1}, "`prefix_length` of RowColumnPositions.*prefix_length=-1"),
    ],
)
def test_bad_constructor_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        RowColumnPositions(**{"height": 2, "width": 2, **arguments})
