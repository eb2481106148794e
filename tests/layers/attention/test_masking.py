import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_seq.layers.attention._masking import masked_softmax
from tests.layers.layer_equations import normal, softmax


def run(scores, attend=None):
    attend = None if attend is None else ops.convert_to_tensor(attend)
    return ops.convert_to_numpy(masked_softmax(ops.convert_to_tensor(scores), attend))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(rows=st.integers(1, 4), columns=st.integers(1, 6), seed=st.integers(0, 99))
def test_it_is_the_softmax_over_what_is_visible_and_zero_elsewhere(rows, columns, seed):
    scores = 5 * normal(rows, columns, seed=seed)
    attend = np.random.default_rng(seed).random((rows, columns)) < 0.5
    got = run(scores, attend)
    for row in range(rows):
        expected = np.zeros(columns)
        if attend[row].any():
            expected[attend[row]] = softmax(scores[row][attend[row]])
        np.testing.assert_allclose(got[row], expected, atol=1e-6)


def test_without_a_mask_it_is_the_softmax():
    scores = normal(3, 4)
    np.testing.assert_allclose(run(scores), softmax(scores), atol=1e-6)


def test_a_single_position_has_all_the_weight():
    np.testing.assert_array_equal(run(normal(3, 1)), np.ones((3, 1)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_large_scores_stay_finite_in_every_dtype(dtype):
    scores = ops.cast(np.array([[1e4, -1e4, 1e4], [-2e4, -2e4, 0.0]]), dtype)
    attend = ops.convert_to_tensor(np.array([[True, True, False], [True, True, False]]))
    got = ops.convert_to_numpy(ops.cast(masked_softmax(scores, attend), "float32"))
    np.testing.assert_allclose(got, [[1, 0, 0], [0.5, 0.5, 0]], atol=1e-6)
