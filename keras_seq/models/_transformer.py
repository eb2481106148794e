"""The Transformer encoder-decoder (Vaswani et al. 2017), as a plain functional model."""

import keras
from keras import layers, ops

from keras_seq.layers import (
    LearnedPositions,
    PositionalEmbedding,
    TransformerDecoderBlock,
    TransformerEncoderBlock,
)
from keras_seq.layers._arguments import check_positive
from keras_seq.layers.blocks._transformer_block import normalization_layer
from keras_seq.layers.positions._known_schemes import copied_positions
from keras_seq.layers.positions.embedding import check_padding_id
from keras_seq.models._positions import position_kinds, positions_of_blocks


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
    normalization="layer",
    positions="sinusoidal",
    decoder_positions=None,
    share_positions=True,
    position_offset=0,
    scale_embeddings=True,
    normalize_embeddings=False,
    tie_embeddings=False,
    share_embeddings=False,
    use_bias=True,
    use_logits_bias=None,
    logits_scale=1.0,
    source_padding_id=0,
    target_padding_id=0,
    name="transformer",
    **block,
):
    r"""Encoder and decoder stacks of attention blocks.

        memory = encoder_block^N(sqrt(D) E_s source + p)
        logits = decoder_block^N(sqrt(D) E_t target + p, memory) W + b

    (Vaswani et al. 2017, section 3.) With `normalize_first` each stack ends with a normalization.
    Published architectures, besides their sizes and their dropout:

        Vaswani   normalize_first=False, positions="interleaved", tie_embeddings=True,
                  share_embeddings=True, use_attention_bias=False
        Marian    normalize_first=False, activation="silu", tie_embeddings=True,
                  share_embeddings=True, use_logits_bias=True, source_padding_id=V - 1,
                  target_padding_id=None                  (Junczys-Dowmunt et al. 2018)
        BART      normalize_first=False, activation="gelu", positions="learned",
                  position_offset=2, scale_embeddings=False, normalize_embeddings=True,
                  tie_embeddings=True, share_embeddings=True, use_logits_bias=True,
                  source_padding_id=1, target_padding_id=1            (Lewis et al. 2020)
        T5        normalization="rms", layer_norm_epsilon=1e-6, use_bias=False, key_dim=64,
                  positions=RelativePositionBias(bidirectional=True),
                  decoder_positions=RelativePositionBias(), attention_scale=1.0,
                  scale_embeddings=False, share_embeddings=True, tie_embeddings=True,
                  logits_scale=D ** -0.5, target_padding_id=None      (Raffel et al. 2020)
        T5 v1.1   those of T5, gated=True, activation="gelu_tanh", tie_embeddings=False,
                  logits_scale=1.0                                    (Shazeer 2020)

    Targets of Marian and T5 begin with the id of the padding, which a mask would hide. Padding on
    their right needs no mask, for attention is causal, but weights of zero in the loss.

    Args:
        source_vocabulary_size, target_vocabulary_size: V of each side.
        sequence_length: the largest number of positions on either side; may be `None` where the
            embeddings have none.
        num_layers: blocks in each stack, N.
        num_heads: H of every attention.
        hidden_dim: D, the width of the model.
        intermediate_dim: width inside the feed-forward networks.
        dropout: fraction to drop of embeddings, attention weights and sublayer outputs.
        activation: of the feed-forward networks, see `FeedForward`.
        normalize_first: pre-norm (which trains without warm-up) or the paper's post-norm.
        normalization: `"layer"` or `"rms"`.
        positions: `"sinusoidal"`, `"interleaved"`, `"learned"` or `"none"` of
            `PositionalEmbedding`, or in the self-attention `"rotary"`, `"alibi"` or any
            `PositionScheme`. Encoder and decoder have a copy of the scheme each.
        decoder_positions: the decoder's scheme where it is not the encoder's: `"rotary"`,
            `"alibi"` or a `PositionScheme`.
        share_positions: whether all blocks of a stack share the scheme's weights, if it has any;
            else each block has a copy of its own.
        position_offset: of learned positions, see `PositionalEmbedding`.
        scale_embeddings: whether tokens' vectors are scaled by sqrt(D).
        normalize_embeddings: whether a normalization follows each embedding (and its positions).
        tie_embeddings: whether the target's embedding E_t is also the output matrix:
            logits = decoder output E_t^T (section 3.4).
        share_embeddings: whether source and target have one vocabulary and one embedding.
        use_bias: whether projections, feed-forward networks and layer normalizations have biases.
        use_logits_bias: whether the logits have a bias. `None`: as `use_bias` says, but none where
            embeddings are tied.
        logits_scale: factor of the logits, without their bias.
        source_padding_id, target_padding_id: the id of padding on each side, which is masked;
            `None` for no mask.
        name: of the model.
        **block: further arguments of `TransformerEncoderBlock` and `TransformerDecoderBlock`, such
            as `gated`, `key_dim` or `num_key_value_heads`; `layer_norm_epsilon` and `dtype` hold
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
    padding = {source_padding_id, target_padding_id} - {None}
    one_vocabulary = source_vocabulary_size == target_vocabulary_size and len(padding) < 2
    if share_embeddings and not one_vocabulary:
        raise ValueError(
            "`share_embeddings` of transformer needs one vocabulary for both sides, with one id of "
            f"padding (or None). Received: source_vocabulary_size={source_vocabulary_size}, "
            f"target_vocabulary_size={target_vocabulary_size}, "
            f"source_padding_id={source_padding_id}, target_padding_id={target_padding_id}"
        )
    for side, size, padding_id in (
        ("source", source_vocabulary_size, source_padding_id),
        ("target", target_vocabulary_size, target_padding_id),
    ):
        if padding_id is not None:
            check_padding_id("transformer", size, **{f"{side}_padding_id": padding_id})
    kind, encoder_positions = position_kinds("transformer", positions)
    if decoder_positions is None:
        decoder_positions = copied_positions(encoder_positions)
    block = {
        "intermediate_dim": intermediate_dim,
        "num_heads": num_heads,
        "dropout": dropout,
        "activation": activation,
        "normalize_first": normalize_first,
        "normalization": normalization,
        "use_bias": use_bias,
        **block,
    }
    encoder_block = {name: value for name, value in block.items() if name != "sliding_window"}
    dtype, epsilon = block.get("dtype"), block.get("layer_norm_epsilon", 1e-5)
    if use_logits_bias is None:
        use_logits_bias = use_bias and not tie_embeddings

    # A shared embedding does not share the learned positions of the two sides.
    apart = share_embeddings and kind == "learned"

    def embedding(vocabulary_size, padding_id, name, is_output):
        return PositionalEmbedding(
            vocabulary_size,
            hidden_dim,
            sequence_length,
            kind="none" if apart else kind,
            mask_zero=False,  # each call says so itself: a shared embedding may have one side only
            padding_id=padding_id or 0,
            scale_embeddings=scale_embeddings,
            position_offset=0 if apart else position_offset,
            use_reverse_bias=is_output and use_logits_bias,
            dtype=dtype,
            name=name,
        )

    def norm(x, name=None):
        return normalization_layer(normalization, epsilon, use_bias, dtype=dtype, name=name)(x)

    def embedded(embed, tokens, padding_id, name):
        x = embed(tokens, mask_padding=padding_id is not None)
        if apart:
            own = LearnedPositions(
                sequence_length, position_offset, dtype=dtype, name=f"{name}_positions"
            )
            x = own(x)
        if normalize_embeddings:
            x = norm(x, f"{name}_embedding_norm")
        return layers.Dropout(dropout, dtype=dtype)(x)

    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")

    embed_source = embedding(
        source_vocabulary_size,
        max(padding, default=0) if share_embeddings else source_padding_id,
        "embedding" if share_embeddings else "source_embedding",
        is_output=share_embeddings and tie_embeddings,
    )
    x = embedded(embed_source, source, source_padding_id, "source")
    for i, own in enumerate(positions_of_blocks(encoder_positions, num_layers, share_positions)):
        x = TransformerEncoderBlock(**encoder_block, positions=own, name=f"encoder_{i}")(x)
    memory = norm(x, "memory") if normalize_first else x

    embed_target = embed_source
    if not share_embeddings:
        embed_target = embedding(
            target_vocabulary_size, target_padding_id, "target_embedding", is_output=tie_embeddings
        )
    y = embedded(embed_target, target, target_padding_id, "target")
    for i, own in enumerate(positions_of_blocks(decoder_positions, num_layers, share_positions)):
        y = TransformerDecoderBlock(**block, positions=own, name=f"decoder_{i}")(y, memory)
    y = norm(y) if normalize_first else y
    if logits_scale != 1:
        y = ops.multiply(y, logits_scale)  # Keras' Rescaling needs TensorFlow
    if tie_embeddings:
        logits = embed_target(y, reverse=True)
    else:
        output = layers.Dense(
            target_vocabulary_size, use_bias=use_logits_bias, dtype=dtype, name="logits"
        )
        logits = output(y)
    return keras.Model({"source": source, "target": target}, logits, name=name)
