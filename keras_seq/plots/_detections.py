"""Images with the boxes that a detector found in them."""

import numpy as np

from keras_seq.plots._figure import check_path, new_figure, save
from keras_seq.plots._images import check_images, show_image

_SIDE = 2.0  # inches of an image
_IMAGES_A_ROW = 4
_FOUND, _TRUE = "#ffb000", "#26d07c"


def detections(images, found, true=None, class_names=None, threshold=0.5, path=None):
    """Draws images with the boxes found in them, and the true ones as dashed lines.

    Args:
        images: (I, H, W, C) or (I, H, W), floats in 0 to 1 or integers up to 255; C is 1 or 3.
        found: dict of `boxes` (I, N, 4), center and size (cx, cy, w, h) as fractions of the image,
            `labels` (I, N) and `scores` (I, N), as `keras_seq.training.average_precision` takes it.
        true: dict of `boxes` (I, M, 4) and `labels` (I, M), -1 for padding; or `None`.
        class_names: names of the labels; `None` for their numbers.
        threshold: the least score of a box that is drawn.
        path: optional file to save to; its suffix (.png, .svg or .pdf) chooses the format.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if the arrays do not fit each other, or `path` has an unknown suffix.
        OSError: if `path` cannot be written.

    Example:

    ```python
    import numpy as np
    from keras_seq.plots import detections

    images = np.random.default_rng(0).uniform(size=(2, 64, 64, 1))
    found = {
        "boxes": np.array([[[0.5, 0.5, 0.4, 0.4]], [[0.3, 0.6, 0.2, 0.5]]]),
        "labels": np.array([[7], [1]]),
        "scores": np.array([[0.98], [0.2]]),
    }
    figure = detections(images, found)
    print(len(figure.axes[0].patches), len(figure.axes[1].patches))  # 1 0: one is too uncertain
    ```
    """
    path = check_path(path)
    images = check_images(images)
    sets = {"found": (found, ("boxes", "labels", "scores"))}
    if true is not None:
        sets["true"] = (true, ("boxes", "labels"))
    for name, (values, keys) in sets.items():
        shapes = {key: np.shape(values[key]) for key in keys if key in values}
        if len(shapes) < len(keys) or {shape[0] for shape in shapes.values()} != {len(images)}:
            raise ValueError(
                f"`{name}` of detections must have {' and '.join(keys)}, a row for each of the "
                f"{len(images)} images. Received: shapes {shapes}"
            )
    rows = -(-len(images) // _IMAGES_A_ROW)
    columns = min(len(images), _IMAGES_A_ROW)
    figure = new_figure(figsize=(columns * _SIDE, rows * _SIDE), layout="constrained")
    for i, image in enumerate(images):
        axes = show_image(figure.add_subplot(rows, columns, i + 1), image)
        if true is not None:
            for box, label in zip(true["boxes"][i], true["labels"][i], strict=True):
                if label >= 0:
                    _draw_box(axes, image, box, _TRUE, "--")
        for box, label, score in zip(*(found[key][i] for key in sets["found"][1]), strict=True):
            if label >= 0 and score >= threshold:
                name = label if class_names is None else class_names[label]
                left, top = _draw_box(axes, image, box, _FOUND, "-")
                axes.text(left, top - 1, f"{name} {score:.0%}", color=_FOUND, size=7, va="bottom")
    save(figure, path)
    return figure


def _draw_box(axes, image, box, color, style):
    """Draw a box; returns the pixel of its upper left corner."""
    from matplotlib.patches import Rectangle

    height, width = image.shape[:2]
    center_x, center_y, box_width, box_height = np.asarray(box) * (width, height, width, height)
    # The center of the first pixel is at 0, its edge at -0.5.
    left, top = center_x - box_width / 2 - 0.5, center_y - box_height / 2 - 0.5
    axes.add_patch(
        Rectangle((left, top), box_width, box_height, fill=False, color=color, ls=style, lw=1.2)
    )
    return left, top
