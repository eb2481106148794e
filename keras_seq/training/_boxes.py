"""Boxes in images, in `keras.ops`: their corners, overlap, and how well two of them agree."""

from keras import ops


def to_corners(boxes):
    """(..., 4) centers and sizes (cx, cy, w, h) -> corners (left, top, right, bottom)."""
    center, size = boxes[..., :2], boxes[..., 2:]
    return ops.concatenate([center - size / 2, center + size / 2], axis=-1)


def overlap(a, b):
    r"""Intersection over union of boxes, and their generalization (Rezatofighi et al. 2019).

        iou  = |a n b| / |a u b|
        giou = iou - |c - (a u b)| / |c|             # c: the smallest box around both

    Args:
        a, b: (..., 4) corners; they broadcast.

    Returns:
        `(iou, giou)`: iou is in [0, 1], giou in (-1, 1]. Of two empty boxes both are 0.
    """
    both = _area(ops.maximum(a[..., :2], b[..., :2]), ops.minimum(a[..., 2:], b[..., 2:]))
    union = _area(a[..., :2], a[..., 2:]) + _area(b[..., :2], b[..., 2:]) - both
    hull = _area(ops.minimum(a[..., :2], b[..., :2]), ops.maximum(a[..., 2:], b[..., 2:]))
    iou = ops.divide_no_nan(both, union)
    return iou, iou - ops.divide_no_nan(hull - union, hull)


def _area(low, high):
    size = ops.maximum(high - low, 0)
    return size[..., 0] * size[..., 1]
