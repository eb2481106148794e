"""What a model looked at in images, as pictures."""

import numpy as np

from keras_seq.plots._figure import check_path, new_figure, save
from keras_seq.plots._images import check_images, show_image

_SIDE = 1.3  # inches of an image


def image_attention(images, weights, titles=None, path=None):
    """Draws images, and below each one how much attention its parts got.

    The weights of an image are scaled to its greatest one, which is drawn brightest.

    Args:
        images: (N, H, W, C) or (N, H, W), floats in 0 to 1 or integers up to 255; C is 1 or 3.
        weights: (N, h, w), not negative: a grid of any size over each image, such as its patches,
            as `attention_rollout` gives them.
        titles: N strings, or `None`.
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
    from keras_seq.plots import image_attention

    images = np.random.default_rng(0).uniform(size=(3, 28, 28, 1))
    weights = np.random.default_rng(1).dirichlet(np.ones(49), size=3).reshape(3, 7, 7)
    figure = image_attention(images, weights, titles=["3", "5", "8"])
    print(len(figure.axes))  # 6: three images, three times with their weights
    ```
    """
    path = check_path(path)
    images = check_images(images)
    weights = np.asarray(weights, dtype="float32")
    if weights.ndim != 3 or len(weights) != len(images) or not (weights >= 0).all():
        raise ValueError(
            "`weights` of image_attention must be (N, h, w), not negative, a grid for each of the "
            f"{len(images)} images. Received: shape {weights.shape}"
            + (f", values from {weights.min():g}" if weights.size else "")
        )
    titles = [""] * len(images) if titles is None else [str(title) for title in titles]
    if len(titles) != len(images):
        raise ValueError(
            f"`titles` of image_attention must be {len(images)}, one for each image. Received: "
            f"{len(titles)}"
        )
    figure = new_figure(figsize=(_SIDE * len(images), 2 * _SIDE + 0.3), layout="constrained")
    axes = figure.subplots(2, len(images), squeeze=False)
    for i, (image, grid, title) in enumerate(zip(images, weights, titles, strict=True)):
        show_image(axes[0, i], image).set_title(title, size=9)
        show_image(axes[1, i], image)
        height, width = image.shape[:2]
        axes[1, i].imshow(
            grid,
            cmap="inferno",
            alpha=0.65,
            vmin=0,
            vmax=max(float(grid.max()), 1e-12),
            interpolation="bilinear",
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),  # the grid covers the whole image
        )
    save(figure, path)
    return figure
