import keras
import numpy as np
import pytest

from keras_seq.training._boxes import overlap, to_corners

numpy = keras.ops.convert_to_numpy


def test_corners_lie_half_a_side_from_the_center():
    corners = to_corners(np.array([[0.5, 0.4, 0.2, 0.6]], "float32"))
    np.testing.assert_allclose(numpy(corners), [[0.4, 0.1, 0.6, 0.7]], atol=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "iou", "giou"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0, 1.0),
        ((0, 0, 2, 2), (1, 0, 3, 2), 2 / 6, 2 / 6),  # the hull is the union
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7, 1 / 7 - 2 / 9),  # a hull of 9, a union of 7
        ((0, 0, 1, 1), (3, 0, 4, 1), 0.0, -0.5),  # apart: a hull of 4, a union of 2
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0, 0.0),
    ],
)
def test_overlaps_are_those_worked_out_by_hand(a, b, iou, giou):
    got = overlap(*(keras.ops.convert_to_tensor([box], dtype="float32") for box in (a, b)))
    np.testing.assert_allclose([numpy(value)[0] for value in got], [iou, giou], atol=1e-6)
