import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from keras_seq.data._packing import cut, fill_rows, pack
from keras_seq.data._ragged import Ragged


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 16), min_size=1, max_size=80))
def test_documents_lie_side_by_side_and_rows_are_few(lengths):
    row, start = pack(lengths, 16)
    taken = np.zeros((row.max() + 1, 16), int)
    for r, s, n in zip(row, start, lengths, strict=True):
        taken[r, s : s + n] += 1
    assert taken.max() == 1
    # No place between two documents of a row, and no two rows that one could hold.
    used = taken.sum(axis=1)
    assert all((places[:n] == 1).all() for places, n in zip(taken, used, strict=True))
    assert len(used) < 2 or np.sort(used)[:2].sum() > 16


def test_long_documents_are_cut_and_nothing_is_lost():
    documents = Ragged.of([[1, 2, 3, 4, 5], [6], [], [7, 8, 9, 10]])
    begins, ends, count = cut(documents, 2)
    pieces = [documents.values[b:e].tolist() for b, e in zip(begins, ends, strict=True)]
    assert pieces == [[1, 2], [3, 4], [5], [6], [7, 8], [9, 10]] and count == 2
    row, start = pack(ends - begins, 4)
    rows = fill_rows(documents.values, begins, ends - begins, row, start, 4)
    assert sorted(rows[rows > 0]) == list(range(1, 11)) and rows.shape == (3, 4)
