import numpy as np
import pytest

from keras_seq.training import average_precision

LEFT, RIGHT, HALF = (0.2, 0.5, 0.2, 0.2), (0.8, 0.5, 0.2, 0.2), (0.2, 0.55, 0.2, 0.1)
NOTHING = (0.5, 0.5, 0.0, 0.0)


def found(*images):
    """Of lists of (box, label, score), one list an image."""
    most = max(map(len, images))
    rows = [[*image, *[(NOTHING, -1, 0.0)] * (most - len(image))] for image in images]
    boxes, labels, scores = (np.array([[p[i] for p in row] for row in rows]) for i in range(3))
    return {"boxes": boxes, "labels": labels, "scores": scores}


def true(*images):
    values = found(*([(box, label, 0.0) for box, label in image] for image in images))
    return {name: values[name] for name in ("boxes", "labels")}


def test_a_case_worked_out_by_hand():
    objects = true([(LEFT, 3), (RIGHT, 3)], [(LEFT, 3)])
    predictions = found(
        [(LEFT, 3, 0.9), (LEFT, 3, 0.8), (RIGHT, 3, 0.6)],  # the second finds the same one again
        [(RIGHT, 3, 0.7)],  # there is nothing
    )
    # In the order of the scores: right, wrong, wrong, right; of three objects.
    # recall    1/3  1/3  1/3  2/3
    # precision 1    1/2  1/3  1/2
    # The greatest precision from a recall on: 1 for 0 to 1/3 (34 of 101), 1/2 up to 2/3 (33), 0.
    expected = (34 * 1.0 + 33 * 0.5) / 101
    assert average_precision(predictions, objects) == {3: pytest.approx(expected)}


def test_finding_everything_first_is_one_and_nothing_is_zero():
    objects = true([(LEFT, 1), (RIGHT, 4)])
    predictions = found([(LEFT, 1, 0.9), (RIGHT, 1, 0.1), (LEFT, 4, 0.8)])
    assert average_precision(predictions, objects) == {1: pytest.approx(1.0), 4: 0.0}


def test_the_threshold_says_which_overlap_is_enough():
    objects, predictions = true([(LEFT, 0)]), found([(HALF, 0, 0.9)])  # half of it
    assert average_precision(predictions, objects, 0.49) == {0: pytest.approx(1.0)}
    assert average_precision(predictions, objects, 0.51) == {0: 0.0}


def test_a_prediction_takes_the_object_that_it_overlaps_most():
    near = (0.22, 0.5, 0.2, 0.2)
    objects = true([(near, 0), (LEFT, 0)])
    predictions = found([(LEFT, 0, 0.9), (near, 0, 0.8)])
    assert average_precision(predictions, objects, 0.9) == {0: pytest.approx(1.0)}


def test_neither_the_order_of_images_nor_of_predictions_matters():
    rng = np.random.default_rng(0)
    predictions = {
        "boxes": rng.uniform(0.2, 0.6, size=(5, 6, 4)),
        "labels": rng.integers(0, 2, size=(5, 6)),
        "scores": rng.uniform(size=(5, 6)),
    }
    objects = {name: predictions[name][:, :3] + 0 for name in ("boxes", "labels")}
    objects["boxes"] += rng.normal(0, 0.05, size=(5, 3, 4))
    expected = average_precision(predictions, objects)
    images, places = rng.permutation(5), rng.permutation(6)
    shuffled = {name: values[images][:, places] for name, values in predictions.items()}
    objects = {name: values[images] for name, values in objects.items()}
    assert average_precision(shuffled, objects) == pytest.approx(expected)
    assert 0 < min(expected.values()) < 1


@pytest.mark.parametrize(
    ("predictions", "objects", "threshold", "message"),
    [
        (found([(LEFT, 0, 1.0)]), true([(LEFT, 0)]), 0, "`iou_threshold` of average_precision"),
        (found([(LEFT, 0, 1.0)]), true([(LEFT, -1)]), 0.5, "must have objects. Received: none"),
        (found([(LEFT, 0, 1.0)]), true([(LEFT, 0)], []), 0.5, "1 and 2 images"),
        (true([(LEFT, 0)]), true([(LEFT, 0)]), 0.5, "`predicted` must have the keys .*'scores'"),
        (
            {**found([(LEFT, 0, 1.0)]), "scores": np.ones(1)},
            true([(LEFT, 0)]),
            0.5,
            r"`predicted` must have `boxes` \(images, number, 4\)",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(predictions, objects, threshold, message):
    with pytest.raises(ValueError, match=message):
        average_precision(predictions, objects, threshold)
