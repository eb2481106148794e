import numpy as np
import tensorflow as tf

from keras_seq.data._batching import choose_shapes, make_batches, merge_small_buckets

SOURCES = tf.ragged.constant([[5, 6, 7, 3], [8, 3], [9, 9, 9, 9, 9, 3]], dtype="int32")
TARGETS = tf.ragged.constant([[10, 11], [12], [13, 14, 15]], dtype="int32")


def test_targets_start_labels_end_and_weights_leave_out_padding():
    inputs, labels, weights = next(iter(make_batches(SOURCES, TARGETS, [(6, 4)], 3)))
    np.testing.assert_array_equal(
        inputs["source"], [[5, 6, 7, 3, 0, 0], [8, 3, 0, 0, 0, 0], [9, 9, 9, 9, 9, 3]]
    )
    np.testing.assert_array_equal(
        inputs["target"], [[2, 10, 11, 0], [2, 12, 0, 0], [2, 13, 14, 15]]
    )
    np.testing.assert_array_equal(labels, [[10, 11, 3, 0], [12, 3, 0, 0], [13, 14, 15, 3]])
    np.testing.assert_array_equal(weights, [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]])
    assert weights.dtype == tf.float32 and labels.dtype == inputs["source"].dtype == tf.int32


def test_shapes_are_static_when_batches_are_full():
    dataset = make_batches(SOURCES, TARGETS, [(6, 4)], 2, drop_remainder=True)
    inputs, labels, weights = dataset.element_spec
    assert inputs["source"].shape == (2, 6)
    assert inputs["target"].shape == labels.shape == weights.shape == (2, 4)


def test_a_pair_goes_to_the_first_bucket_that_holds_both_sides():
    which = choose_shapes([4, 2, 9, 3], [3, 6, 1, 4], [(4, 4), (8, 8)])
    np.testing.assert_array_equal(which, [0, 1, 2, 0])


def test_each_bucket_has_its_own_shape_and_cardinality_is_known():
    for drop in (False, True):
        dataset = make_batches(SOURCES, TARGETS, [(4, 3), (8, 4)], 2, drop_remainder=drop)
        shapes = [tuple(inputs["source"].shape) for inputs, _, _ in dataset]
        assert shapes == [(2, 4)] if drop else sorted(shapes) == [(1, 8), (2, 4)]
        assert int(dataset.cardinality()) == len(shapes)


def test_buckets_too_small_for_a_batch_are_merged():
    shapes = [(8, 8), (16, 16), (32, 32)]
    assert merge_small_buckets([0] * 4 + [1] * 4 + [2] * 4, shapes, 4) == shapes
    assert merge_small_buckets([0] * 3 + [1] * 4 + [2] * 4, shapes, 4) == shapes[1:]
    assert merge_small_buckets([0] * 4 + [1] * 4 + [2] * 3, shapes, 4) == [shapes[0], shapes[2]]
    assert merge_small_buckets([0] * 4, shapes, 5) == shapes[2:]
