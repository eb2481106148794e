"""DETR, a detector that gives a set of boxes, as a plain functional model."""

import keras
import numpy as np
from keras import layers, ops

from keras_seq.layers import (
    LearnedPositions,
    LearnedTokens,
    TransformerDecoderBlock,
    TransformerEncoderBlock,
)
from keras_seq.layers._arguments import check_positive
from keras_seq.layers.positions.embedding import sinusoidal_positions
from keras_seq.models._convolutions import convolutions


@keras.saving.register_keras_serializable(package="keras_seq")
class SinesOfPlaces(keras.initializers.Initializer):
    """Half of the features are sines and cosines of the row, half of the column.

    (Parmar et al. 2018, as in Carion et al. 2020, appendix A.4.)

    Args:
        height, width: of the grid whose places, in raster order, are the positions.
    """

    def __init__(self, height, width):
        self.height, self.width = height, width

    def __call__(self, shape, dtype=None):
        rows, columns = (sinusoidal_positions(n, shape[-1] // 2) for n in (self.height, self.width))
        rows = np.repeat(rows, self.width, axis=0)  # (H W, D / 2)
        columns = np.tile(columns, (self.height, 1))
        return ops.cast(np.concatenate([rows, columns], axis=-1), dtype or "float32")

    def get_config(self):
        return {"height": self.height, "width": self.width}


def set_detector(
    image_shape,
    num_classes,
    num_queries=10,
    num_layers=2,
    num_decoder_layers=None,
    num_heads=4,
    hidden_dim=64,
    intermediate_dim=128,
    filters=(32, 64, 64),
    dropout=0.0,
    activation="relu",
    auxiliary_outputs=False,
    layer_norm_epsilon=1e-5,
    name="set_detector",
    **block,
):
    r"""Boxes and classes of all objects of an image at once (DETR, Carion et al. 2020).

        memory = encoder_block^N(convolutions(image) W + p)      # a vector for each place
        y      = decoder_block^N(queries, memory)                # queries see each other
        class  = softmax(y W_c + b_c),   box = sigmoid(mlp(y) + r)

    (section 3.2.) Each of the N queries, learned vectors, gives one object or none. Positions and
    queries are added once, at the input, which the paper's Table 3 compares with adding them in
    each attention; p begins as sines of row and column. The blocks are pre-norm. r, (N, 4), is
    where the box of a query begins: learned, spread over the image at first (as the reference
    points of Zhu et al. 2021), so that queries do not all begin with the same objects.

    Args:
        image_shape: `(H, W, C)`.
        num_classes: C; logits have one more class, the last one, "no object".
        num_queries: N, at least the number of objects of an image.
        num_layers: blocks of the encoder.
        num_decoder_layers: blocks of the decoder; `num_layers` if `None`.
        num_heads: heads of every attention.
        hidden_dim: D, the width of the model.
        intermediate_dim: width inside the feed-forward networks.
        filters: channels after each convolution of 3 x 3 pixels; each halves height and width.
        dropout: fraction to drop of attention weights and sublayer outputs.
        activation: of the feed-forward networks.
        auxiliary_outputs: whether earlier decoder blocks answer, too, through the same last layers,
            for training with `keras_seq.training.SetPrediction`. They share one model's weights:
            `keras.Model(model.input, {n: model.output[n] for n in ("logits", "boxes")})` detects
            alone.
        layer_norm_epsilon: of all normalizations.
        name: of the model.
        **block: further arguments of the blocks; `dtype` holds for all layers.

    Returns:
        `keras.Model` from images (B, H, W, C) to a dict of `logits` (B, N, C + 1) and `boxes`
        (B, N, 4), center and size (cx, cy, w, h) as fractions of the image. With
        `auxiliary_outputs` and L decoder blocks also `auxiliary_logits` (B, L - 1, N, C + 1) and
        `auxiliary_boxes` (B, L - 1, N, 4).

    Raises:
        ValueError: if a size is below 1, or `hidden_dim` is no multiple of 4 and of `num_heads`.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.set_detector((64, 64, 1), num_classes=10)
    found = model(np.zeros((2, 64, 64, 1), "float32"))
    print(found["logits"].shape, found["boxes"].shape)  # (2, 10, 11) (2, 10, 4)
    ```
    """
    num_decoder_layers = num_layers if num_decoder_layers is None else num_decoder_layers
    check_positive(
        "set_detector",
        num_classes=num_classes,
        num_queries=num_queries,
        num_layers=num_layers,
        num_decoder_layers=num_decoder_layers,
        hidden_dim=hidden_dim,
    )
    if hidden_dim % 4:
        raise ValueError(
            "`hidden_dim` of set_detector must be a multiple of 4, for sines and cosines of row "
            f"and column. Received: hidden_dim={hidden_dim}"
        )
    block = {
        "intermediate_dim": intermediate_dim,
        "num_heads": num_heads,
        "dropout": dropout,
        "activation": activation,
        "normalize_first": True,
        "layer_norm_epsilon": layer_norm_epsilon,
        **block,
    }
    dtype = block.get("dtype")

    image = keras.Input(image_shape, name="image")
    x = image
    for convolution in convolutions("set_detector", image_shape, filters):
        x = convolution(x)
    sines = SinesOfPlaces(*x.shape[1:3])
    x = layers.Reshape((-1, filters[-1]), dtype=dtype)(x)  # (B, S, filters), S places
    x = layers.Dense(hidden_dim, dtype=dtype, name="projection")(x)
    x = LearnedPositions(x.shape[1], initializer=sines, dtype=dtype, name="positions")(x)
    for i in range(num_layers):
        x = TransformerEncoderBlock(**block, name=f"encoder_{i}")(x)
    memory = layers.LayerNormalization(epsilon=layer_norm_epsilon, dtype=dtype, name="memory")(x)

    # The last layers are shared by the outputs of all decoder blocks.
    norm = layers.LayerNormalization(epsilon=layer_norm_epsilon, dtype=dtype, name="norm")
    classes = layers.Dense(num_classes + 1, dtype=dtype, name="classes")
    mlp = [layers.Dense(hidden_dim, "relu", dtype=dtype, name=f"box_{i}") for i in range(2)]
    mlp.append(layers.Dense(4, kernel_initializer="zeros", dtype=dtype, name="box"))
    spread = keras.initializers.RandomUniform(-2.0, 2.0)
    mlp.append(LearnedPositions(num_queries, initializer=spread, dtype=dtype, name="references"))

    def answers(y):
        y = box = norm(y)
        for layer in mlp:
            box = layer(box)
        return classes(y), ops.sigmoid(box)

    queries = LearnedTokens(
        num_queries, keras.initializers.RandomNormal(stddev=1.0), dtype=dtype, name="queries"
    )
    y = queries(memory)  # (B, N, D)
    logits, boxes = [], []
    for i in range(num_decoder_layers):
        y = TransformerDecoderBlock(**block, causal=False, name=f"decoder_{i}")(y, memory)
        if auxiliary_outputs or i == num_decoder_layers - 1:
            for found, answer in zip((logits, boxes), answers(y), strict=True):
                found.append(answer)
    outputs = {"logits": logits[-1], "boxes": boxes[-1]}
    if len(logits) > 1:
        outputs["auxiliary_logits"] = ops.stack(logits[:-1], axis=1)
        outputs["auxiliary_boxes"] = ops.stack(boxes[:-1], axis=1)
    return keras.Model(image, outputs, name=name)
