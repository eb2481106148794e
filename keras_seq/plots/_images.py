"""Images inside figures."""

import numpy as np


def check_images(images):
    """(N, H, W, C) float32 in 0 to 1, C 1 or 3, of images as users have them.

    Raises:
        ValueError: if they have another shape, or values out of range.
    """
    images = np.asarray(images)
    shape = images.shape
    images = images[..., np.newaxis] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(
            "`images` must be (N, H, W, C) with 1 or 3 channels, or (N, H, W), none of them 0. "
            f"Received: shape {shape}"
        )
    most = 255 if np.issubdtype(images.dtype, np.integer) else 1
    images = images.astype("float32") / most
    if not (images.min() >= -1e-3 and images.max() <= 1 + 1e-3):
        raise ValueError(
            "`images` must be floats in 0 to 1, or integers in 0 to 255. Received: values from "
            f"{images.min() * most:g} to {images.max() * most:g}"
        )
    return images.clip(0, 1)


def show_image(axes, image):
    """Draw one image (H, W, C) into `axes`, without ticks; returns them."""
    gray = image.shape[-1] == 1
    axes.imshow(image[..., 0] if gray else image, cmap="gray", vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks([])
    return axes
