"""What a model gets of images: pixels, patches, or tokens; and back."""

import numpy as np
import tensorflow as tf

LAYOUTS = ("pixels", "patches", "tokens")


def check_patches(shape, patch_size):
    height, width, _ = shape
    if patch_size is not None and (height % patch_size or width % patch_size):
        raise ValueError(
            f"`patch_size` must divide the height and width of the images, {height} x {width}. "
            f"Received: {patch_size}. Pass another, or `image_size` to resize them."
        )


def form_of(layout, patch_size, levels):
    """Function from images (B, H, W, C), and labels (B,) but for tokens, to what `fit` gets."""

    def pixels(images, labels):
        return tf.image.convert_image_dtype(images, "float32"), labels

    def patches(images, labels):
        x, p = tf.image.convert_image_dtype(images, "float32"), patch_size
        height, width, channels = images.shape[1:]
        x = tf.reshape(x, [-1, height // p, p, width // p, p, channels])
        x = tf.reshape(
            tf.transpose(x, [0, 1, 3, 2, 4, 5]), [-1, height * width // p**2, p * p * channels]
        )
        return tf.ensure_shape(x, [images.shape[0], None, None]), labels

    def tokens(images):
        x = tf.image.convert_image_dtype(images, "float32")
        # Rounding must not move a level's lowest integer below it.
        ids = tf.cast(tf.minimum(tf.floor(x * levels * (1 + 1e-6)), levels - 1), "int32")
        ids = tf.reshape(ids, [-1, int(np.prod(images.shape[1:]))])
        ids = tf.ensure_shape(ids, [images.shape[0], None])
        start = levels * tf.ones_like(ids[:, :1])
        return tf.concat([start, ids[:, :-1]], axis=1), ids

    return {"pixels": pixels, "patches": patches, "tokens": tokens}[layout]


def restored(x, layout, shape, patch_size, levels):
    """Inputs of a layout, (B, ...) -> images (B, H, W, C), float32 in 0 to 1."""
    x = np.asarray(x)
    if layout == "tokens":
        x = x.astype("float32") / (levels - 1)
    elif layout == "patches":
        (height, width, channels), p = shape, patch_size
        x = x.reshape(-1, height // p, width // p, p, p, channels).swapaxes(2, 3)
    return x.reshape(-1, *shape).astype("float32")
