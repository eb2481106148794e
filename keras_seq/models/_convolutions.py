"""Small convolutional encoders of images."""

from keras import layers

from keras_seq.layers._arguments import check_positive
from keras_seq.models._patches import check_image_shape


def convolutions(model, image_shape, filters):
    """Convolutions of 3 x 3 pixels with ReLU, each of which halves height and width.

    Args:
        model: name of the model, for messages.
        image_shape: `(H, W, C)`.
        filters: channels after each.

    Returns:
        List of layers; the last one gives (B, H / 2^n, W / 2^n, filters[-1]), rounded up.

    Raises:
        ValueError: if a size is below 1, or there is none.
    """
    check_image_shape(model, image_shape)
    if not isinstance(filters, (list, tuple)) or not filters:
        raise ValueError(
            f"`filters` of {model} must be the channels after each convolution, such as (32, 64). "
            f"Received: filters={filters!r}"
        )
    check_positive(model, **{f"filters[{i}]": size for i, size in enumerate(filters)})
    return [
        layers.Conv2D(size, 3, strides=2, padding="same", activation="relu") for size in filters
    ]
