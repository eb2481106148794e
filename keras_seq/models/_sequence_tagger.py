"""A label for every step from the steps so far, as functional models."""

import keras
from keras import layers

from keras_seq.layers import EachStep, TransformerDecoderBlock
from keras_seq.layers._arguments import check_choice, check_positive
from keras_seq.models._convolutions import convolutions
from keras_seq.models._recurrent import RECURRENT

CELLS = ("gru", "lstm", "transformer")


def sequence_tagger(
    num_classes,
    vocabulary_size=None,
    num_features=None,
    image_shape=None,
    cell="gru",
    num_layers=1,
    embedding_dim=64,
    hidden_dim=64,
    filters=(16, 32, 64),
    num_heads=4,
    intermediate_dim=128,
    positions="rotary",
    dropout=0.0,
    name="sequence_tagger",
):
    r"""Many to many, step by step: the label of a step follows from it and the steps before it.

        x_t = E token_t,  or W features_t,  or relu(W convolutions(frame_t))
        h_t = cell^N(x_1, ..., x_t)
        logits_t = W_o h_t

    The cell is recurrent, or a Transformer block with causal attention. Nothing looks ahead, so the
    model can be stepped (`keras_seq.stepping.Stepper`) and exported as a stream
    (`keras_seq.export.to_litert(model, path, streaming=True)`): one step in, one label out.

    Args:
        num_classes: number of labels.
        vocabulary_size: of steps that are tokens, of which 0 is padding.
        num_features: of steps that are vectors of D floats.
        image_shape: of steps that are frames, `(H, W, C)`. Exactly one of the three is given.
        cell: `"gru"`, `"lstm"` or `"transformer"`.
        num_layers: N.
        embedding_dim: width of the vectors of tokens before a recurrent layer.
        hidden_dim: width of the cell, and of a frame's or a Transformer step's vector.
        filters: channels after each convolution of a frame, which halves its height and width.
        num_heads, intermediate_dim, positions: of the Transformer's blocks; `positions` are those
            of its attention, see `TransformerDecoderBlock`.
        dropout: fraction to drop of the vectors x_t and of h_t, and inside Transformer blocks.
        name: of the model.

    Returns:
        `keras.Model` from (B, T) int32 ids, or (B, T, D) or (B, T, H, W, C) floats, to logits
        (B, T, num_classes).

    Raises:
        ValueError: if a size is out of range, `cell` is unknown, or what a step is is not clear.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.sequence_tagger(11, image_shape=(16, 16, 1), filters=(4, 8))
    clips = np.random.default_rng(0).random((2, 5, 16, 16, 1))
    print(model(clips).shape)  # (2, 5, 11)

    stepper = keras_seq.stepping.Stepper(model)
    state = stepper.get_initial_state(batch_size=2)
    logits, state = stepper.step(clips[:, :1], state)  # of the first frame
    ```
    """
    check_positive(
        "sequence_tagger",
        num_classes=num_classes,
        num_layers=num_layers,
        embedding_dim=embedding_dim,
        hidden_dim=hidden_dim,
    )
    check_choice("sequence_tagger", CELLS, cell=cell)
    given = {
        "vocabulary_size": vocabulary_size,
        "num_features": num_features,
        "image_shape": image_shape,
    }
    if sum(value is not None for value in given.values()) != 1:
        raise ValueError(
            "sequence_tagger needs exactly one of `vocabulary_size`, `num_features` and "
            f"`image_shape`, which says what a step is. Received: {given}"
        )

    if vocabulary_size is not None:
        check_positive("sequence_tagger", vocabulary_size=vocabulary_size)
        steps = keras.Input((None,), dtype="int32", name="tokens")
        width = hidden_dim if cell == "transformer" else embedding_dim
        x = layers.Embedding(vocabulary_size, width, mask_zero=True)(steps)
    elif num_features is not None:
        check_positive("sequence_tagger", num_features=num_features)
        steps = x = keras.Input((None, num_features), name="features")
        if cell == "transformer":
            x = layers.Dense(hidden_dim)(x)
    else:
        encoder = [
            *convolutions("sequence_tagger", image_shape, filters),
            layers.Flatten(),
            layers.Dense(hidden_dim, activation="relu"),
        ]
        steps = x = keras.Input((None, *image_shape), name="frames")
        x = EachStep(keras.Sequential(encoder), name="frame_encoder")(x)
    x = layers.Dropout(dropout)(x)
    for i in range(num_layers):
        if cell == "transformer":
            layer = TransformerDecoderBlock(
                intermediate_dim,
                num_heads,
                dropout=dropout,
                normalize_first=True,
                positions=positions,
                name=f"block_{i}",
            )
        else:
            layer = RECURRENT[cell](hidden_dim, return_sequences=True, name=f"{cell}_{i}")
        x = layer(x)
    if cell == "transformer":
        x = layers.LayerNormalization(epsilon=1e-5)(x)
    x = layers.Dropout(dropout)(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(steps, logits, name=name)
