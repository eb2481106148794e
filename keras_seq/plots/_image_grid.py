"""Images in rows, each beside its caption."""

import numpy as np

from keras_seq.plots._figure import check_path, new_figure, save
from keras_seq.plots._images import check_images, show_image

_CELL, _CAPTION = 1.0, 3.2  # inches


def image_grid(images, captions, headers=None, path=None):
    """Draws rows of images, the caption of each row to its left.

    Args:
        images: (R, N, H, W, C), N images in each of R rows, C 1 or 3; floats in 0 to 1 or uint8.
        captions: R texts.
        headers: Optional, N texts above the columns.
        path: Optional file to save to; its suffix (.png, .svg or .pdf) chooses the format.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If shapes or numbers of texts do not fit, values are out of range, or `path` has
            an unknown suffix.
        OSError: If `path` cannot be written.

    Example:

    ```python
    import numpy as np
    from keras_seq.plots import image_grid

    images = np.random.default_rng(0).uniform(size=(2, 3, 8, 8, 3))
    figure = image_grid(images, ["a red square", "a dot"], headers=["true", "first", "second"])
    print(len(figure.axes))  # 6
    ```
    """
    path = check_path(path)
    images = np.asarray(images)
    if images.ndim != 5:
        raise ValueError(
            "`images` of image_grid must be (R, N, H, W, C), rows of images. "
            f"Received: shape {images.shape}"
        )
    rows, columns = images.shape[:2]
    for name, texts, count in (("captions", captions, rows), ("headers", headers, columns)):
        if texts is not None and len(texts) != count:
            raise ValueError(
                f"`{name}` of image_grid must be {count} texts. Received: {len(texts)}"
            )
    flat = check_images(images.reshape(-1, *images.shape[2:]))
    size = (_CAPTION + columns * _CELL, rows * _CELL + (0.3 if headers else 0))
    figure = new_figure(figsize=size, layout="constrained")
    for i, image in enumerate(flat):
        row, column = divmod(i, columns)
        axes = show_image(figure.add_subplot(rows, columns, i + 1), image)
        if column == 0:
            text = {"rotation": 0, "ha": "right", "va": "center", "parse_math": False}
            axes.set_ylabel(captions[row], **text)
        if row == 0 and headers is not None:
            axes.set_title(headers[column], size=9, parse_math=False)
    save(figure, path)
    return figure
