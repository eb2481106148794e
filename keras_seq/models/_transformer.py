"""The Transformer encoder-decoder (Vaswani et al. 2017), as a plain functional model."""

import keras
from keras import layers

from keras_seq.layers import PositionalEmbedding, TransformerDecoderBlock, TransformerEncoderBlock
from keras_seq.layers._arguments import check_positive
from keras_seq.layers.blocks._transformer_block import normalization_layer
from keras_seq.models._positions import position_kinds


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
    positions="sinusoidal",
    normalization="layer",
    tie_embeddings=False,
    share_embeddings=False,
    **block,
):
    r"""Encoder and decoder stacks of attention blocks.

        memory = encoder_block^N(sqrt(D) E_s source + p)
        logits = decoder_block^N(sqrt(D) E_t target + p, memory) W + b

    (Vaswani et al. 2017, section 3.) With `normalize_first` each stack ends with a normalisation.
    The paper's model has `normalize_first=False, positions="interleaved", tie_embeddings=True,
    share_embeddings=True, attention_bias=False`; `examples/vaswani_2017.py` writes it out.

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
        positions: `"sinusoidal"`, `"interleaved"`, `"learned"` or `"none"` of
            `PositionalEmbedding`, or `"rotary"` or `"alibi"` of `MultiHeadSelfAttention`.
        normalization: `"layer"` or `"rms"`.
        tie_embeddings: whether the target's embedding E_t is also the output matrix, without a
            bias: logits = decoder output E_t^T (section 3.4).
        share_embeddings: whether source and target have one vocabulary and one embedding.
        **block: further arguments of `TransformerEncoderBlock` and `TransformerDecoderBlock`, such
            as `gated` or `num_key_value_heads`; `use_bias`, `layer_norm_epsilon` and `dtype` hold
            outside the blocks, too, and `sliding_window` in the decoder alone, which is causal.

    Returns:
        `keras.Model` with inputs `source` (B, S) and `target` (B, T) of int32 ids, and logits
        (B, T, V) as output.

    Raises:
        ValueError: if a size is below 1, `hidden_dim` is no multiple of `num_heads`, `positions` or
            `normalization` is unknown, or vocabularies of two sizes are to share an embedding.

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
    if share_embeddings and source_vocabulary_size != target_vocabulary_size:
        raise ValueError(
            "`share_embeddings` of transformer needs one vocabulary for both sides. Received: "
            f"source_vocabulary_size={source_vocabulary_size}, "
            f"target_vocabulary_size={target_vocabulary_size}"
        )
    kind, attention_positions = position_kinds("transformer", positions)
    block = {
        "intermediate_dim": intermediate_dim,
        "num_heads": num_heads,
        "dropout": dropout,
        "activation": activation,
        "normalize_first": normalize_first,
        "normalization": normalization,
        "positions": attention_positions,
        **block,
    }
    encoder_block = {name: value for name, value in block.items() if name != "sliding_window"}
    use_bias, dtype = block.get("use_bias", True), block.get("dtype")
    epsilon = block.get("layer_norm_epsilon", 1e-5)

    def embedding(vocabulary_size, name):
        return PositionalEmbedding(
            vocabulary_size, hidden_dim, sequence_length, kind=kind, dtype=dtype, name=name
        )

    def last_norm(x, name=None):
        if not normalize_first:
            return x
        return normalization_layer(normalization, epsilon, use_bias, dtype=dtype, name=name)(x)

    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")

    shared = "embedding" if share_embeddings else "source_embedding"
    embed_source = embedding(source_vocabulary_size, shared)
    x = layers.Dropout(dropout, dtype=dtype)(embed_source(source))
    for i in range(num_layers):
        x = TransformerEncoderBlock(**encoder_block, name=f"encoder_{i}")(x)
    memory = last_norm(x, name="memory")

    embed_target = embed_source
    if not share_embeddings:
        embed_target = embedding(target_vocabulary_size, "target_embedding")
    y = layers.Dropout(dropout, dtype=dtype)(embed_target(target))
    for i in range(num_layers):
        y = TransformerDecoderBlock(**block, name=f"decoder_{i}")(y, memory)
    y = last_norm(y)
    if tie_embeddings:
        logits = embed_target(y, reverse=True)
    else:
        logits = layers.Dense(
            target_vocabulary_size, use_bias=use_bias, dtype=dtype, name="logits"
        )(y)
    return keras.Model({"source": source, "target": target}, logits, name=name)
