"""The Transformer encoder-decoder (Vaswani et al. 2017), as a plain functional model."""

import keras
from keras import layers

from keras_seq.layers import PositionalEmbedding, TransformerDecoderBlock, TransformerEncoderBlock
from keras_seq.layers.arguments import check_positive


def transformer(
    source_vocabulary_size,
    target_vocabulary_size,
    sequence_length=256,
    num_layers=2,
    num_heads=4,
    hidden_dim=128,
    intermediate_dim=512,
    dropout=0.1,
    activation="relu",
    normalize_first=True,
    name="transformer",
):
    r"""Encoder and decoder stacks of attention blocks, sinusoidal positions.

        memory = encoder_block^N(sqrt(D) E_s source + p)
        logits = decoder_block^N(sqrt(D) E_t target + p, memory) W + b

    (Vaswani et al. 2017, section 3.) With `normalize_first` each stack ends with a normalisation.

    Args:
        source_vocabulary_size, target_vocabulary_size: V of each side; id 0 is padding.
        sequence_length: the largest number of positions on either side.
        num_layers: blocks in each stack, N.
        num_heads: H of every attention.
        hidden_dim: D, the width of the model.
        intermediate_dim: width inside the feed-forward networks.
        dropout: share to drop of embeddings, attention weights and sublayer outputs.
        activation: of the feed-forward networks.
        normalize_first: pre-norm (which trains without warm-up) or the paper's post-norm.
        name: of the model.

    Returns:
        `keras.Model` with inputs `source` (B, S) and `target` (B, T) of int32 ids, and logits
        (B, T, V) as output.

    Raises:
        ValueError: if a size is below 1 or `hidden_dim` is no multiple of `num_heads`.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.transformer(100, 80, num_layers=1, num_heads=2, hidden_dim=16)
    logits = model({"source": np.ones((2, 7)), "target": np.ones((2, 5))})
    print(logits.shape)  # (2, 5, 80)
    ```
    """
    check_positive("transformer", num_layers=num_layers)
    block = {
        "intermediate_dim": intermediate_dim,
        "num_heads": num_heads,
        "dropout": dropout,
        "activation": activation,
        "normalize_first": normalize_first,
    }
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")

    x = PositionalEmbedding(source_vocabulary_size, hidden_dim, sequence_length)(source)
    x = layers.Dropout(dropout)(x)
    for i in range(num_layers):
        x = TransformerEncoderBlock(**block, name=f"encoder_{i}")(x)
    memory = layers.LayerNormalization(name="memory")(x) if normalize_first else x

    y = PositionalEmbedding(target_vocabulary_size, hidden_dim, sequence_length)(target)
    y = layers.Dropout(dropout)(y)
    for i in range(num_layers):
        y = TransformerDecoderBlock(**block, name=f"decoder_{i}")(y, memory)
    y = layers.LayerNormalization()(y) if normalize_first else y
    logits = layers.Dense(target_vocabulary_size, name="logits")(y)
    return keras.Model({"source": source, "target": target}, logits, name=name)
