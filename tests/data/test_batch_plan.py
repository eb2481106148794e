import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from keras_seq.data._batch_plan import (
    choose_shapes,
    first_shapes,
    merge_small_shapes,
    plan_batches,
)

LENGTHS = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=60)


def batches_of(plan, seed):
    """The row numbers of each batch, the rows in a random order."""
    rows = np.random.default_rng(seed).permutation(len(plan.key))
    rows = rows[np.argsort(plan.key[rows], kind="stable")]
    return [rows[s : s + n] for s, n in zip(plan.starts, plan.sizes, strict=True)]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(LENGTHS, st.sampled_from([None, 5]), st.integers(40, 200), st.booleans(), st.integers(0, 9))
def test_in_any_order_a_batch_holds_its_rows_and_the_budget(lengths, rows, budget, shaped, seed):
    lengths = np.array(lengths)
    shapes = [(16, 16), (24, 40), (40, 40)] if shaped else None
    plan = plan_batches(lengths, batch_size=rows, max_tokens=budget, shapes=shapes)
    batches = batches_of(plan, seed)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    for batch, shape in zip(batches, plan.lengths, strict=True):
        assert np.all(lengths[batch].max(axis=0) <= shape)
        assert len(batch) * shape.max() <= budget and len(batch) <= (rows or 1000)
        if shaped:
            assert tuple(shape) in shapes
        else:
            np.testing.assert_array_equal(lengths[batch].max(axis=0), shape)
    places = sum(
        len(batch) * shape.sum() for batch, shape in zip(batches, plan.lengths, strict=True)
    )
    assert plan.padding == pytest.approx(1 - lengths.sum() / places)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(LENGTHS, st.integers(40, 200), st.integers(0, 9))
def test_batches_of_a_shape_have_one_number_of_rows_if_the_last_is_left_out(lengths, budget, seed):
    shapes = [(16, 16), (40, 40)]
    plan = plan_batches(lengths, max_tokens=budget, shapes=shapes, drop_last=True)
    of_shape = {(16, 16): budget // 16, (40, 40): budget // 40}
    assert all(
        len(batch) == of_shape[tuple(shape)]
        for batch, shape in zip(batches_of(plan, seed), plan.lengths, strict=True)
    )
    which = first_shapes(lengths, shapes)
    assert len(plan) == sum((which == k).sum() // of_shape[shape] for k, shape in enumerate(shapes))


def test_without_a_budget_rows_are_counted():
    plan = plan_batches([[3], [9], [3], [4]], batch_size=2)
    np.testing.assert_array_equal(plan.lengths, [[3], [9]])
    assert plan.rows == 2 and plan.length(0) is None
    assert plan_batches([[3]] * 4, batch_size=2).length(0) == 3


def test_a_row_goes_to_the_first_shape_that_holds_it():
    lengths = np.column_stack([[4, 2, 9, 3], [3, 6, 1, 4]])
    np.testing.assert_array_equal(first_shapes(lengths, [(4, 4), (8, 8)]), [0, 1, 2, 0])


def test_shapes_too_small_for_a_batch_are_merged():
    shapes = [(8, 8), (16, 16), (32, 32)]

    def merged(which, rows):
        return merge_small_shapes(which, shapes, lambda shape: rows)

    assert merged([0] * 4 + [1] * 4 + [2] * 4, 4) == shapes
    assert merged([0] * 3 + [1] * 4 + [2] * 4, 4) == shapes[1:]
    assert merged([0] * 4 + [1] * 4 + [2] * 3, 4) == [shapes[0], shapes[2]]
    assert merged([0] * 4, 5) == shapes[2:]


def test_chosen_shapes_are_few_and_waste_less_than_one():
    lengths = np.random.default_rng(0).gamma(4, 5, size=(2000, 2)).astype(int) + 1
    longest = tuple(int(n) for n in lengths.max(axis=0))
    shapes = choose_shapes(lengths, longest)
    assert 3 < len(shapes) <= 8 and shapes[-1] == longest
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(shapes))
    one, few = (plan_batches(lengths, batch_size=16, shapes=s) for s in ([longest], shapes))
    assert few.padding < 0.7 * one.padding
