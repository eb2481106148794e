"""Average precision, the score of detectors."""

import numpy as np

from keras_seq.layers._arguments import is_number

_RECALLS = np.linspace(0, 1, 101)  # COCO's


def average_precision(predicted, true, iou_threshold=0.5):
    r"""Average precision of each class, as COCO defines it (Lin et al. 2014; AP50 by default).

    The predictions of a class, over all images, are taken from the most to the least certain. One
    is right if it overlaps an object of its class, in its image, by at least `iou_threshold` (their
    intersection over their union), and no prediction before it has taken that object; of several
    it takes the one that it overlaps most. After each prediction there are

        recall    = right so far / objects
        precision = right so far / predictions so far

    and AP is the mean, over the recalls r = 0, 0.01, ..., 1, of the greatest precision at a recall
    of at least r, 0 where there is none.

    Args:
        predicted: dict of `boxes` (I, N, 4), center and size (cx, cy, w, h), `labels` (I, N)
            integers, -1 for no prediction, and `scores` (I, N), how certain each is.
        true: dict of `boxes` (I, M, 4) and `labels` (I, M), -1 for padding, of the same images.
        iou_threshold: 0.5 for AP50 (and Pascal VOC), 0.75 for AP75. COCO's AP is the mean over
            0.5, 0.55, ..., 0.95.

    Returns:
        Dict from each class that has objects to its AP, a float in [0, 1]. The mean over classes,
        `np.mean(list(result.values()))`, is what is usually reported (mAP).

    Raises:
        ValueError: if the arrays do not fit each other, there is no object at all, or
            `iou_threshold` is not in (0, 1].

    Example:

    ```python
    import numpy as np
    from keras_seq.training import average_precision

    box = [0.5, 0.5, 0.2, 0.2]
    true = {"boxes": np.array([[box], [box]]), "labels": np.array([[7], [7]])}
    found = {**true, "scores": np.array([[0.9], [0.8]])}
    print(average_precision(found, true))  # {7: 1.0}
    ```
    """
    if not is_number(iou_threshold) or not 0 < iou_threshold <= 1:
        raise ValueError(
            "`iou_threshold` of average_precision must be a number above 0, at most 1. Received: "
            f"{iou_threshold!r}"
        )
    boxes, labels, scores = _arrays("predicted", predicted, ("boxes", "labels", "scores"))
    true_boxes, true_labels = _arrays("true", true, ("boxes", "labels"))
    if len(boxes) != len(true_boxes):
        raise ValueError(
            "`predicted` and `true` must be of the same images. Received: "
            f"{len(boxes)} and {len(true_boxes)} images"
        )
    if not (true_labels >= 0).any():
        raise ValueError("`true` of average_precision must have objects. Received: none")
    ious = pairwise_iou(boxes, true_boxes)  # (I, N, M)
    result = {}
    for label in np.unique(true_labels[true_labels >= 0]).tolist():
        is_object = true_labels == label
        images, places = np.nonzero(labels == label)
        order = np.argsort(-scores[images, places], kind="stable")
        right = _right(ious, images[order], places[order], is_object, iou_threshold)
        result[label] = _area(right, is_object.sum())
    return result


def pairwise_iou(a, b):
    """(..., N, M): intersection over union of boxes (..., N, 4) and (..., M, 4) (cx, cy, w, h)."""
    a, b = a[..., :, None, :], b[..., None, :, :]
    low = np.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = np.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    both = np.maximum(high - low, 0).prod(-1)
    union = a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - both
    return both / np.maximum(union, 1e-12)


def _right(ious, images, places, is_object, threshold):
    """Whether each prediction, from the most certain one on, is right."""
    free, right = is_object.copy(), np.zeros(len(images), bool)
    for i, (image, place) in enumerate(zip(images, places, strict=True)):
        overlaps = np.where(free[image], ious[image, place], -1.0)  # (M,)
        best = overlaps.argmax()
        if overlaps[best] >= threshold:
            free[image, best], right[i] = False, True
    return right


def _area(right, objects):
    """AP of predictions in their order."""
    found = np.cumsum(right)
    recall, precision = found / objects, found / np.arange(1, len(right) + 1)
    # From each place on the greatest precision to come, 0 beyond the last.
    greatest = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(greatest[np.searchsorted(recall, _RECALLS - 1e-12)].mean())


def _arrays(name, values, keys):
    missing = [key for key in keys if key not in values]
    if missing:
        raise ValueError(f"`{name}` must have the keys {list(keys)}. Received: {list(values)}")
    boxes, *others = (np.asarray(values[key]) for key in keys)
    shapes = {key: np.shape(values[key]) for key in keys}
    if boxes.ndim != 3 or boxes.shape[-1] != 4 or any(o.shape != boxes.shape[:2] for o in others):
        raise ValueError(
            f"`{name}` must have `boxes` (images, number, 4) and {' and '.join(keys[1:])} (images, "
            f"number). Received: {shapes}"
        )
    return boxes.astype("float64"), *others
