"""The Vision Transformer, as a plain functional model."""

import keras
from keras import layers, ops

from keras_seq.layers import LearnedPositions, LearnedTokens, TransformerEncoderBlock
from keras_seq.layers._arguments import check_positive
from keras_seq.models._patches import check_image_shape, patch_sequence


def vision_transformer(
    image_shape,
    num_classes,
    patch_size=4,
    num_layers=6,
    num_heads=4,
    hidden_dim=64,
    intermediate_dim=128,
    dropout=0.1,
    activation="gelu",
    pooling="token",
    layer_norm_epsilon=1e-6,
    name="vision_transformer",
    **block,
):
    r"""An encoder that reads an image as a sequence of patches (Dosovitskiy et al. 2021).

        z_0 = [c; x_1 E; ...; x_N E] + p               # x_n: the n-th patch, c: the class token
        z_l = encoder_block(z_{l-1})                   # pre-norm, l = 1 .. L
        y   = norm(z_L)[0] W + b

    (equations 1 to 4, with one linear layer as the head.) With `pooling="gap"` there is no class
    token, and the head gets the mean over the patches (appendix D.3).

    Args:
        image_shape: `(H, W, C)`.
        num_classes: number of logits.
        patch_size: P, which divides H and W: there are N = H W / P^2 patches.
        num_layers: blocks, L.
        num_heads: heads of every attention.
        hidden_dim: D, the width of the model.
        intermediate_dim: width inside the feed-forward networks.
        dropout: fraction to drop of the embeddings, attention weights and sublayer outputs.
        activation: of the feed-forward networks.
        pooling: `"token"`, the class token, or `"gap"`, the mean over the patches.
        layer_norm_epsilon: of all normalizations.
        name: of the model.
        **block: further arguments of `TransformerEncoderBlock`; `dtype` holds for all layers.

    Returns:
        `keras.Model` from images (B, H, W, C) to logits (B, num_classes).

    Raises:
        ValueError: if a size is below 1, `patch_size` does not divide the image, `hidden_dim` is no
            multiple of `num_heads`, or `pooling` is unknown.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.vision_transformer((28, 28, 1), num_classes=10, patch_size=7)
    print(model(np.zeros((2, 28, 28, 1))).shape)  # (2, 10)
    ```
    """
    check_image_shape("vision_transformer", image_shape)
    check_positive("vision_transformer", num_classes=num_classes, num_layers=num_layers)
    if pooling not in ("token", "gap"):
        raise ValueError(
            "`pooling` of vision_transformer must be 'token' (the class token) or 'gap' (the mean "
            f"over the patches). Received: pooling={pooling!r}"
        )
    dtype = block.get("dtype")
    image = keras.Input(image_shape, name="image")
    x = patch_sequence("vision_transformer", image, patch_size, hidden_dim, dtype)  # (B, N, D)
    if pooling == "token":
        token = LearnedTokens(1, initializer="zeros", dtype=dtype, name="class_token")(x)
        x = layers.Concatenate(axis=1, dtype=dtype)([token, x])  # (B, 1 + N, D)
    x = LearnedPositions(x.shape[1], dtype=dtype, name="positions")(x)
    x = layers.Dropout(dropout, dtype=dtype)(x)
    for i in range(num_layers):
        x = TransformerEncoderBlock(
            intermediate_dim,
            num_heads,
            dropout=dropout,
            activation=activation,
            normalize_first=True,
            layer_norm_epsilon=layer_norm_epsilon,
            name=f"encoder_{i}",
            **block,
        )(x)
    x = layers.LayerNormalization(epsilon=layer_norm_epsilon, dtype=dtype, name="norm")(x)
    x = x[:, 0] if pooling == "token" else ops.mean(x, axis=1)
    logits = layers.Dense(num_classes, dtype=dtype, name="logits")(x)
    return keras.Model(image, logits, name=name)
