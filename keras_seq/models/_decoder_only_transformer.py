"""The decoder-only Transformer of language models, as a plain functional model."""

import keras
from keras import layers, ops

from keras_seq.layers import PositionalEmbedding, TransformerDecoderBlock
from keras_seq.layers._arguments import check_positive
from keras_seq.layers.blocks._transformer_block import normalization_layer
from keras_seq.layers.positions.embedding import check_padding_id
from keras_seq.models._positions import position_kinds, positions_of_blocks


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
    share_positions=True,
    position_offset=0,
    scale_embeddings=None,
    normalize_embeddings=False,
    num_key_value_heads=None,
    tie_embeddings=True,
    use_bias=True,
    use_logits_bias=None,
    logits_scale=1.0,
    padding_id=0,
    name="decoder_only_transformer",
    **block,
):
    r"""A stack of causal attention blocks between an embedding and logits.

        x      = decoder_block^N(E tokens + p)
        logits = norm(x) E^T

    Published architectures, besides their sizes and their dropout (none has a mask in training, so
    `padding_id=None`):

        GPT-2     activation="gelu_tanh"                            (Radford et al. 2019)
        Llama     normalization="rms", activation="silu", gated=True, use_bias=False,
                  positions="rotary", tie_embeddings=False          (Touvron et al. 2023)
        Llama 3   those of Llama, positions=RotaryEmbedding(500000.0), num_key_value_heads=8
        Mistral   those of Llama, num_key_value_heads=8, sliding_window=4096
                                                                    (Jiang et al. 2023)
        Qwen2     those of Llama, use_attention_bias=["query", "key", "value"],
                  positions=RotaryEmbedding(1000000.0), num_key_value_heads=...,
                  layer_norm_epsilon=1e-6                           (Yang et al. 2024)
        Gemma     those of Llama, activation="gelu_tanh", key_dim=256, scale_embeddings=True,
                  tie_embeddings=True, layer_norm_epsilon=1e-6      (Mesnard et al. 2024; a norm's
                  published weights are those here less one)

    Args:
        vocabulary_size: V.
        sequence_length: the largest number of positions; may be `None` where the embedding has
            none, with `positions` in the attention or `"none"`.
        num_layers: blocks, N.
        num_heads: H of every attention.
        hidden_dim: D, the width of the model.
        intermediate_dim: width inside the feed-forward networks.
        dropout: fraction to drop of embeddings, attention weights and sublayer outputs.
        activation: of the feed-forward networks, see `FeedForward`.
        normalize_first: pre-norm, with a normalization after the last block, or post-norm.
        normalization: `"layer"` or `"rms"`.
        positions: `"learned"`, `"sinusoidal"`, `"interleaved"` or `"none"` of
            `PositionalEmbedding`, or in the attention `"rotary"`, `"alibi"` or any
            `PositionScheme`, such as `RotaryEmbedding(500000.0)`.
        share_positions: whether all blocks share the scheme's weights, if it has any; else each
            block has a copy of its own.
        position_offset: of learned positions, see `PositionalEmbedding`.
        scale_embeddings: whether tokens' vectors are scaled by sqrt(D). `None`: with the
            sinusoidal positions, which have a size of their own.
        normalize_embeddings: whether a normalization follows the embedding (and its positions).
        num_key_value_heads: heads of keys and values; H if `None`.
        tie_embeddings: whether the embedding is also the output matrix.
        use_bias: whether projections, feed-forward networks and layer normalizations have biases.
        use_logits_bias: whether the logits have a bias. `None`: as `use_bias` says, but none where
            embeddings are tied.
        logits_scale: factor of the logits, without their bias.
        padding_id: the id of padding, which is masked; `None` for no mask.
        name: of the model.
        **block: further arguments of `TransformerDecoderBlock`, such as `gated`, `sliding_window`,
            `key_dim` or `attention_class`; `layer_norm_epsilon` and `dtype` hold outside the
            blocks, too.

    Returns:
        `keras.Model` from (B, T) int32 ids to logits (B, T, V).

    Raises:
        ValueError: if a size is out of range, `hidden_dim` is no multiple of `num_heads` (without
            `key_dim`), or `positions`, `normalization` or `padding_id` is unknown.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.decoder_only_transformer(100, num_layers=1, num_heads=2, hidden_dim=16)
    print(model(np.ones((2, 7))).shape)  # (2, 7, 100)
    ```
    """
    check_positive("decoder_only_transformer", num_layers=num_layers)
    if padding_id is not None:
        check_padding_id("decoder_only_transformer", vocabulary_size, padding_id=padding_id)
    kind, attention_positions = position_kinds("decoder_only_transformer", positions)
    dtype, epsilon = block.get("dtype"), block.get("layer_norm_epsilon", 1e-5)
    if scale_embeddings is None:
        scale_embeddings = kind in ("sinusoidal", "interleaved")
    if use_logits_bias is None:
        use_logits_bias = use_bias and not tie_embeddings

    def norm(x, name=None):
        return normalization_layer(normalization, epsilon, use_bias, dtype=dtype, name=name)(x)

    embedding = PositionalEmbedding(
        vocabulary_size,
        hidden_dim,
        sequence_length,
        kind=kind,
        mask_zero=padding_id is not None,
        padding_id=padding_id or 0,
        scale_embeddings=scale_embeddings,
        position_offset=position_offset,
        use_reverse_bias=tie_embeddings and use_logits_bias,
        dtype=dtype,
        name="embedding",
    )
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = embedding(tokens)
    if normalize_embeddings:
        x = norm(x, "embedding_norm")
    x = layers.Dropout(dropout, dtype=dtype)(x)
    for i, own in enumerate(positions_of_blocks(attention_positions, num_layers, share_positions)):
        x = TransformerDecoderBlock(
            intermediate_dim,
            num_heads,
            dropout=dropout,
            activation=activation,
            normalize_first=normalize_first,
            normalization=normalization,
            num_key_value_heads=num_key_value_heads,
            positions=own,
            use_bias=use_bias,
            name=f"decoder_{i}",
            **block,
        )(x)
    if normalize_first:
        x = norm(x)
    if logits_scale != 1:
        x = ops.multiply(x, logits_scale)  # Keras' Rescaling needs TensorFlow
    if tie_embeddings:
        logits = embedding(x, reverse=True)
    else:
        output = layers.Dense(vocabulary_size, use_bias=use_logits_bias, dtype=dtype, name="logits")
        logits = output(x)
    return keras.Model(tokens, logits, name=name)
