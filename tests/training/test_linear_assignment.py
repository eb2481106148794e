import itertools
import sys

import keras
import numpy as np
import pytest

pytest.importorskip("scipy")

from keras_seq.training import linear_assignment

numpy = keras.ops.convert_to_numpy
RNG = np.random.default_rng(0)


def least_cost(cost):
    """Of all ways to give each object a prediction of its own."""
    predictions, objects = cost.shape
    ways = itertools.permutations(range(predictions), objects)
    return min(sum(cost[n, m] for m, n in enumerate(way)) for way in ways)


def test_no_other_assignment_costs_less_and_none_is_given_twice():
    cost = RNG.normal(size=(6, 5, 3)).astype("float32")
    assignment = numpy(linear_assignment(cost))
    assert assignment.shape == (6, 3) and assignment.dtype == np.int32
    for matrix, given in zip(cost, assignment, strict=True):
        assert len(set(given.tolist())) == 3
        total = sum(matrix[n, m] for m, n in enumerate(given))
        np.testing.assert_allclose(total, least_cost(matrix), atol=1e-5)


def test_padding_takes_no_prediction_from_an_object():
    cost = RNG.normal(size=(2, 3, 3)).astype("float32")
    cost[:, :, 1] = -100.0  # the padding would like every prediction
    valid = np.array([[True, False, True], [False, False, True]])
    assignment = numpy(linear_assignment(cost, valid))
    total = cost[0, assignment[0, 0], 0] + cost[0, assignment[0, 2], 2]
    np.testing.assert_allclose(total, least_cost(cost[0][:, [0, 2]]), atol=1e-5)
    assert assignment[1].tolist() == [0, 0, cost[1, :, 2].argmin()]


def test_it_runs_inside_a_compiled_function():
    cost = RNG.normal(size=(2, 4, 3)).astype("float32")
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        compiled = tf.function(linear_assignment)
    elif keras.backend.backend() == "jax":
        import jax

        compiled = jax.jit(linear_assignment)
    else:
        pytest.skip("no compiled functions on this backend")
    got = numpy(compiled(keras.ops.convert_to_tensor(cost)))
    np.testing.assert_array_equal(got, numpy(linear_assignment(cost)))


def test_costs_that_are_not_finite_do_not_stop_a_run():
    cost = np.array([[[np.nan, 1.0], [2.0, np.inf], [3.0, 5.0]]], "float32")
    assert numpy(linear_assignment(cost)).tolist() == [[1, 0]]


def test_more_objects_than_predictions_are_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 2, 3\)\. Give the detector more queries"):
        linear_assignment(np.zeros((1, 2, 3)))


def test_without_scipy_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r'pip install "keras_seq\[detection\]"'):
        linear_assignment(np.zeros((1, 2, 2)))
