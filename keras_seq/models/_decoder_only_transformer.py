"""The decoder-only Transformer of language models, as a plain functional model."""

import keras
from keras import layers

from keras_seq.layers import PositionalEmbedding, TransformerDecoderBlock
from keras_seq.layers._arguments import check_positive
from keras_seq.layers.blocks._transformer_block import normalization_layer
from keras_seq.models._positions import position_kinds


def decoder_only_transformer(
    vocabulary_size,
    sequence_length=256,
    num_layers=2,
    num_heads=4,
    hidden_dim=128,
    intermediate_dim=512,
    dropout=0.1,
    activation="gelu",
    normalize_first=True,
    normalization="layer",
    positions="learned",
    num_key_value_heads=None,
    tie_embeddings=True,
    use_bias=True,
    mask_zero=True,
    name="decoder_only_transformer",
    **block,
):
    r"""A stack of causal attention blocks between an embedding and logits.

        x      = decoder_block^N(E tokens + p)
        logits = norm(x) E^T

    As it stands it is GPT-2 (Radford et al. 2019); with `normalization="rms"`, `activation="silu"`,
    `gated=True`, `positions="rotary"` and `use_bias=False` it is Llama (Touvron et al. 2023), with
    `num_key_value_heads` below `num_heads` grouped queries (Ainslie et al. 2023).

    Args:
        vocabulary_size: V.
        sequence_length: the largest number of positions; may be `None` where the embedding has
            none, with `positions` `"rotary"`, `"alibi"` or `"none"`.
        num_layers: blocks, N.
        num_heads: H of every attention.
        hidden_dim: D, the width of the model.
        intermediate_dim: width inside the feed-forward networks.
        dropout: share to drop of embeddings, attention weights and sublayer outputs.
        activation: of the feed-forward networks.
        normalize_first: pre-norm, with a normalisation behind the last block, or post-norm.
        normalization: `"layer"` or `"rms"`.
        positions: `"learned"`, `"sinusoidal"`, `"interleaved"` or `"none"` of
            `PositionalEmbedding`, or `"rotary"` or `"alibi"` of `MultiHeadSelfAttention`. Tokens'
            vectors are scaled by sqrt(D) with the sinusoidal ones, which have a size of their own.
        num_key_value_heads: heads of keys and values; H if `None`.
        tie_embeddings: whether the embedding is also the output matrix, which then has no bias.
        use_bias: whether projections, feed-forward networks, layer normalisations and the output
            layer have biases.
        mask_zero: whether token 0 is padding.
        name: of the model.
        **block: further arguments of `TransformerDecoderBlock`, such as `gated` or
            `sliding_window`; `layer_norm_epsilon` and `dtype` hold outside the blocks, too.

    Returns:
        `keras.Model` from (B, T) int32 ids to logits (B, T, V).

    Raises:
        ValueError: if a size is out of range, `hidden_dim` is no multiple of `num_heads`, or
            `positions` or `normalization` is unknown.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.decoder_only_transformer(100, num_layers=1, num_heads=2, hidden_dim=16)
    print(model(np.ones((2, 7))).shape)  # (2, 7, 100)
    ```
    """
    check_positive("decoder_only_transformer", num_layers=num_layers)
    kind, attention_positions = position_kinds("decoder_only_transformer", positions)
    dtype, epsilon = block.get("dtype"), block.get("layer_norm_epsilon", 1e-5)
    embedding = PositionalEmbedding(
        vocabulary_size,
        hidden_dim,
        sequence_length,
        kind=kind,
        mask_zero=mask_zero,
        scale_embeddings=kind in ("sinusoidal", "interleaved"),
        dtype=dtype,
        name="embedding",
    )
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Dropout(dropout, dtype=dtype)(embedding(tokens))
    for i in range(num_layers):
        x = TransformerDecoderBlock(
            intermediate_dim,
            num_heads,
            dropout=dropout,
            activation=activation,
            normalize_first=normalize_first,
            normalization=normalization,
            num_key_value_heads=num_key_value_heads,
            positions=attention_positions,
            use_bias=use_bias,
            name=f"decoder_{i}",
            **block,
        )(x)
    if normalize_first:
        x = normalization_layer(normalization, epsilon, use_bias, dtype=dtype)(x)
    if tie_embeddings:
        logits = embedding(x, reverse=True)
    else:
        logits = layers.Dense(vocabulary_size, use_bias=use_bias, dtype=dtype, name="logits")(x)
    return keras.Model(tokens, logits, name=name)
