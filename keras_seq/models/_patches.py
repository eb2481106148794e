"""Images as sequences of patches."""

from keras import layers

from keras_seq.layers._arguments import check_positive


def check_image_shape(model, image_shape):
    """Raise unless `image_shape` is three positive ints."""
    shape = tuple(image_shape) if isinstance(image_shape, (list, tuple)) else ()
    if len(shape) != 3:
        raise ValueError(
            f"`image_shape` of {model} must be (height, width, channels). Received: {image_shape!r}"
        )
    check_positive(model, **dict(zip(("height", "width", "channels"), shape, strict=True)))


def patch_sequence(model, image, patch_size, hidden_dim, dtype=None):
    """x E: each patch of P x P pixels, as one vector, times one matrix.

    It is a convolution whose stride is the size of its kernel.

    Args:
        model: name of the model, for messages.
        image: (B, H, W, C), symbolic.
        patch_size: P.
        hidden_dim: D.
        dtype: of the layers.

    Returns:
        (B, H W / P^2, D), in raster order.

    Raises:
        ValueError: if a size is below 1, or P does not divide H and W.
    """
    check_positive(model, patch_size=patch_size, hidden_dim=hidden_dim)
    height, width = image.shape[1:3]
    if height % patch_size or width % patch_size:
        raise ValueError(
            f"`patch_size` of {model} must divide the height and width of the images, {height} x "
            f"{width}. Received: patch_size={patch_size}"
        )
    x = layers.Conv2D(hidden_dim, patch_size, strides=patch_size, dtype=dtype, name="patches")(
        image
    )
    return layers.Reshape((-1, hidden_dim), dtype=dtype)(x)
