"""Captions of images, with attention over the places of the image, as functional models."""

import keras
from keras import layers

from keras_seq.layers import (
    AdditiveAttention,
    LearnedPositions,
    PositionalEmbedding,
    TransformerDecoderBlock,
)
from keras_seq.layers._arguments import check_choice, check_positive, check_rate
from keras_seq.models._convolutions import convolutions
from keras_seq.models._recurrent import RECURRENT

CELLS = ("gru", "lstm", "transformer")


def captioner(
    vocabulary_size,
    image_shape,
    cell="gru",
    filters=(32, 64, 128, 128),
    num_layers=1,
    embedding_dim=64,
    hidden_dim=128,
    attention_units=64,
    num_heads=4,
    intermediate_dim=256,
    sequence_length=128,
    dropout=0.0,
    state_dropout=0.0,
    name="captioner",
):
    r"""An image goes in once, then a decoder writes words and looks at places of the image.

        a_s = relu(W (norm(convolutions(image))_s + p_s))    # S places, D features each

    The recurrent decoder ("Show, Attend and Tell", Xu et al. 2015, with its soft attention and its
    start state from the mean of all places; the attention comes after the recurrence, as in Luong
    et al. 2015, section 3, so that the time steps train in one loop):

        s_0 = tanh(W_0 mean_s a_s)
        s_t = GRU(E target_{t-1}, s_{t-1})
        c_t = sum_s alpha_ts a_s                      # AdditiveAttention(s_t, a)
        logits_t = W_o tanh(W_c [s_t, c_t])

    The Transformer decoder (Vaswani et al. 2017, section 3):

        logits = norm(decoder_block^N(E target + p, a)) W_o

    Each convolution halves height and width, so that four give H/16 times W/16 places, each of
    which sees 31 x 31 pixels.

    Args:
        vocabulary_size: V; id 0 is padding.
        image_shape: `(H, W, C)`.
        cell: of the decoder, `"gru"`, `"lstm"` or `"transformer"`.
        filters: channels after each convolution; the last is D.
        num_layers: recurrent layers or Transformer blocks, N.
        embedding_dim: width of the words' vectors, of a recurrent decoder.
        hidden_dim: width of the decoder.
        attention_units: width of the comparison in the attention of a recurrent decoder.
        num_heads, intermediate_dim: of the blocks of a Transformer.
        sequence_length: the largest number of words that a Transformer has positions for.
        dropout: fraction to drop in training of words' vectors and, in a recurrent decoder, of
            what the logits are made from; in a Transformer also of attention weights and sublayer
            outputs.
        state_dropout: fraction to drop in training of s_t in the logits of a recurrent decoder. The
            more of it is dropped, the more a word is chosen by what is seen, c_t, and the less by
            which captions there were in training.
        name: of the model.

    Returns:
        `keras.Model` with inputs `image` (B, H, W, C) of floats and `target` (B, T) of int32 ids,
        and logits (B, T, V) as output. The attention over the image is that of the layer
        `"attention"`, or of the blocks `"decoder_0"`, ...; see
        `keras_seq.inspection.attention_scores`.

    Raises:
        ValueError: if a size is out of range, `cell` is unknown, or a Transformer is given
            `state_dropout`.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.captioner(50, (32, 32, 3), filters=(8, 16), hidden_dim=16)
    image = np.random.default_rng(0).random((2, 32, 32, 3))
    print(model({"image": image, "target": np.ones((2, 5))}).shape)  # (2, 5, 50)

    generator = keras_seq.generation.Generator(model, max_length=4, start_token=2, end_token=3)
    print(generator.generate(image).tokens)  # of an untrained model
    ```
    """
    check_rate("captioner", dropout=dropout, state_dropout=state_dropout)
    check_positive(
        "captioner",
        vocabulary_size=vocabulary_size,
        num_layers=num_layers,
        embedding_dim=embedding_dim,
        hidden_dim=hidden_dim,
    )
    check_choice("captioner", CELLS, cell=cell)
    if cell == "transformer" and state_dropout:
        raise ValueError(
            "`state_dropout` of captioner is for the recurrent decoders, cell='gru' and 'lstm'; "
            f"use `dropout`. Received: state_dropout={state_dropout} with cell='transformer'"
        )

    image = keras.Input(image_shape, name="image")
    target = keras.Input((None,), dtype="int32", name="target")

    x = image
    for convolution in convolutions("captioner", image_shape, filters):
        x = convolution(x)
    places = x.shape[1] * x.shape[2]  # S
    x = layers.Reshape((places, x.shape[3]))(x)
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    wide = keras.initializers.RandomNormal(stddev=0.5)  # to tell places apart from the first step
    x = LearnedPositions(places, initializer=wide, name="places")(x)
    x = layers.Dense(filters[-1], activation="relu", name="features")(x)

    if cell == "transformer":
        y = PositionalEmbedding(vocabulary_size, hidden_dim, sequence_length, name="words")(target)
        y = layers.Dropout(dropout)(y)
        for i in range(num_layers):
            y = TransformerDecoderBlock(
                intermediate_dim,
                num_heads,
                dropout=dropout,
                normalize_first=True,
                name=f"decoder_{i}",
            )(y, x)
        y = layers.LayerNormalization(epsilon=1e-5)(y)
    else:
        states = 1 if cell == "gru" else 2
        mean = layers.GlobalAveragePooling1D()(x)
        y = layers.Embedding(vocabulary_size, embedding_dim, mask_zero=True, name="words")(target)
        y = layers.Dropout(dropout)(y)
        for i in range(num_layers):
            start = [layers.Dense(hidden_dim, activation="tanh")(mean) for _ in range(states)]
            decoder = RECURRENT[cell](hidden_dim, return_sequences=True, name=f"decoder_{i}")
            y = decoder(y, initial_state=start)
        context = AdditiveAttention(attention_units, name="attention")(y, x)
        y = layers.Dropout(state_dropout)(y)
        y = layers.Dense(hidden_dim, activation="tanh")(layers.concatenate([y, context]))
        y = layers.Dropout(dropout)(y)
    logits = layers.Dense(vocabulary_size, name="logits")(y)
    return keras.Model({"image": image, "target": target}, logits, name=name)
