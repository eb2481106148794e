"""The autoregressive Transformer over text and image tokens (Ramesh et al. 2021, DALL-E)."""

import keras
from keras import layers

from keras_seq.layers import PositionalEmbedding, RowColumnPositions, TransformerDecoderBlock
from keras_seq.layers._arguments import check_positive


def text_to_image(
    text_vocabulary_size,
    image_vocabulary_size,
    text_length,
    image_size=(4, 4),
    num_layers=4,
    num_heads=4,
    hidden_dim=128,
    intermediate_dim=512,
    dropout=0.1,
    activation="gelu",
    name="text_to_image",
    **block,
):
    r"""One causal Transformer over a caption and the tokens of its image (Ramesh et al. 2021).

        tokens = [text_1 ... text_P, V_text + image_1 ... V_text + image_{h w}]
        x      = decoder_block^N(E tokens + p)      # p: of text; row + column in the image
        logits = norm(x) W + b                      # of both vocabularies, V = V_text + V_image

    (Section 2.2.) Image token i has the id V_text + i. A text is padded to its P places with an id
    of its own, which is a token like others: with the vector of its place it is the paper's learned
    padding of each position. So nothing is masked, and images begin at a fixed place.

    Train it with sample weights, by the paper 1/8 for the labels that are text and 7/8 for those
    that are image, each over their number. To generate, forbid the ids of text:

        Generator(model, max_length=h * w, banned_tokens=range(V_text)).generate(prompt=texts)

    Args:
        text_vocabulary_size, image_vocabulary_size: V_text and V_image.
        text_length: P, the places of the text. The last one must not be padding where prompts are
            padded arrays, see `Generator.generate`: end texts with a token that begins the image.
        image_size: `(h, w)`, rows and columns of image tokens.
        num_layers: blocks, N.
        num_heads: H of every attention.
        hidden_dim: D, the width of the model.
        intermediate_dim: width inside the feed-forward networks.
        dropout: fraction to drop of embeddings, attention weights and sublayer outputs.
        activation: of the feed-forward networks, see `FeedForward`.
        name: of the model.
        **block: further arguments of `TransformerDecoderBlock`.

    Returns:
        `keras.Model` from (B, T) int32 ids to logits (B, T, V), T at most P + h w.

    Raises:
        ValueError: if a size is out of range, or `hidden_dim` is no multiple of `num_heads`.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.text_to_image(10, 32, text_length=3, num_layers=1, hidden_dim=16)
    generator = keras_seq.generation.Generator(model, max_length=16, banned_tokens=range(10))
    tokens = np.asarray(generator.generate(prompt=[[2, 5, 1]]).tokens)  # (1, 3 + 16)
    image_ids = tokens[:, 3:].reshape(-1, 4, 4) - 10
    assert 0 <= image_ids.min() and image_ids.max() < 32
    ```
    """
    check_positive(
        "text_to_image",
        text_vocabulary_size=text_vocabulary_size,
        image_vocabulary_size=image_vocabulary_size,
        text_length=text_length,
        num_layers=num_layers,
    )
    vocabulary_size = text_vocabulary_size + image_vocabulary_size
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = PositionalEmbedding(
        vocabulary_size,
        hidden_dim,
        kind="none",
        mask_zero=False,
        scale_embeddings=False,
        name="embedding",
    )(tokens)
    x = RowColumnPositions(*image_size, prefix_length=text_length, name="positions")(x)
    x = layers.Dropout(dropout)(x)
    for i in range(num_layers):
        x = TransformerDecoderBlock(
            intermediate_dim,
            num_heads,
            dropout=dropout,
            activation=activation,
            normalize_first=True,
            name=f"decoder_{i}",
            **block,
        )(x)
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    return keras.Model(tokens, layers.Dense(vocabulary_size, name="logits")(x), name=name)
