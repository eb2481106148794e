import numpy as np
import tensorflow as tf

from keras_seq.data._ragged import Ragged, taker

ROWS = [[1], [2, 3], [4, 5, 6], [7], [8, 9], [10, 11, 12], [13], [14]]


def test_what_is_on_disk_is_read_as_what_is_in_memory(tmp_path):
    values = np.arange(12, dtype="int32").reshape(6, 2)
    values.tofile(tmp_path / "values")
    on_disk = np.memmap(tmp_path / "values", "int32", "r", shape=(6, 2))
    places = tf.constant([[0, 5], [3, 3]], "int64")
    np.testing.assert_array_equal(taker(on_disk)(places), taker(values)(places))
    rows = tf.data.Dataset.from_tensors(places).map(taker(on_disk))
    assert rows.element_spec.shape == (2, 2, 2)
    one, other = (Ragged(v, [0, 1, 4, 6]).where([1, 0, 1]) for v in (values, on_disk))
    np.testing.assert_array_equal(one.padded()([1, 0], 3), other.padded()([1, 0], 3))
    assert isinstance(other.values, np.memmap)


def test_rows_are_shortened_at_either_end():
    ragged = Ragged.of(ROWS)
    first, last = ragged.shortened(2), ragged.shortened(2, keep="last")
    assert [first[i].tolist() for i in range(3)] == [[1], [2, 3], [4, 5]]
    assert [last[i].tolist() for i in range(3)] == [[1], [2, 3], [5, 6]]


def test_rows_of_vectors_are_padded_with_zeros():
    ragged = Ragged.of([np.ones((1, 2)), 2 * np.ones((2, 2))])
    rows = ragged.padded()(tf.constant([0, 1]), 3)
    np.testing.assert_array_equal(rows[..., 1], [[1, 0, 0], [2, 2, 0]])


def test_ragged_rows():
    ragged = Ragged.of(ROWS)
    np.testing.assert_array_equal(ragged[2], [4, 5, 6])
    kept = ragged.where([len(row) == 2 for row in ROWS])
    assert [kept[i].tolist() for i in range(len(kept))] == [[2, 3], [8, 9]]
    again = Ragged.of(tf.ragged.constant(ROWS))
    np.testing.assert_array_equal(again.begins, ragged.begins)
    empty = Ragged.of([])
    assert len(empty) == 0 and len(empty.where([])) == 0
    np.testing.assert_array_equal(ragged.padded()(tf.constant([1, 0]), 3), [[2, 3, 0], [1, 0, 0]])
