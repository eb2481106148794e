import numpy as np
import pytest
from keras import ops
from layer_equations import gru_step, lstm_step, normal

from keras_seq.layers.cells import GatedCell, GRUCell, LSTMCell

UNITS, FEATURES = 3, 4


def test_the_lstm_cell_is_the_papers_equations():
    kernel, recurrent = normal(FEATURES, 12, seed=2), normal(UNITS, 12, seed=3)
    bias, x, h, c = (normal(*s, seed=4 + i) for i, s in enumerate([(12,), (2, 4), (2, 3), (2, 3)]))
    got = LSTMCell(UNITS).pointwise(
        *map(ops.convert_to_tensor, (x @ kernel + bias, h @ recurrent)),
        [ops.convert_to_tensor(h), ops.convert_to_tensor(c)],
    )
    for a, b in zip(got, lstm_step(x, h, c, kernel, recurrent, bias), strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(a), b, atol=1e-5)


def test_the_gru_cell_is_the_papers_equations():
    kernel, recurrent = normal(FEATURES, 9, seed=2), normal(UNITS, 9, seed=3)
    bias, x, h = (normal(*s, seed=4 + i) for i, s in enumerate([(2, 9), (2, 4), (2, 3)]))
    products = x @ kernel + bias[0], h @ recurrent + bias[1]
    (got,) = GRUCell(UNITS).pointwise(
        *map(ops.convert_to_tensor, products), [ops.convert_to_tensor(h)]
    )
    expected = gru_step(x, h, kernel, recurrent, bias)
    np.testing.assert_allclose(ops.convert_to_numpy(got), expected, atol=1e-5)


@pytest.mark.parametrize("cell", [LSTMCell, GRUCell])
@pytest.mark.parametrize("units", [0, -1, 2.5, True, None])
def test_units_must_be_a_positive_int(cell, units):
    with pytest.raises(ValueError, match=f"`units` of {cell.__name__}.*units={units!r}"):
        cell(units)


def test_a_cell_without_equations_says_what_to_define():
    with pytest.raises(NotImplementedError, match="must define `pointwise`"):
        GatedCell(2).pointwise(None, None, None)
