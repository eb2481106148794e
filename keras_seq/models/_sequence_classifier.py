"""One class for a whole sequence: recurrent or Transformer, as a plain functional model."""

import keras
from keras import layers, ops

from keras_seq.layers import TransformerEncoderBlock
from keras_seq.layers._arguments import check_choice, check_positive
from keras_seq.models._recurrent import RECURRENT

CELLS = ("lstm", "gru", "transformer")
POOLINGS = ("last", "mean", "max")


def sequence_classifier(
    num_classes,
    vocabulary_size=None,
    num_features=None,
    cell="lstm",
    bidirectional=True,
    pooling="last",
    num_layers=1,
    embedding_dim=64,
    hidden_dim=64,
    dropout=0.2,
    num_heads=4,
    intermediate_dim=128,
    positions="rotary",
    name="sequence_classifier",
):
    r"""Classes of whole sequences, of token ids or of numbers.

        h      = layers(E tokens)                 # (B, T, .), LSTM, GRU or encoder blocks
        logits = W pooling(h_1, ..., h_T) + b

    Padding at the end of a row, id 0 or time steps of zeros, changes nothing: no layer reads it,
    and the pooling leaves it out.

    Args:
        num_classes: C, the number of logits.
        vocabulary_size: V, for sequences of ids in [0, V), where 0 is padding.
        num_features: D, for sequences of D numbers a time step.
        cell: `"lstm"`, `"gru"` or `"transformer"` (pre-norm encoder blocks).
        bidirectional: whether the layers see what comes later, too: recurrent layers of two
            directions (Schuster & Paliwal 1997), attention that is not causal.
        pooling: what is read of the last layer: `"last"`, the state of each direction after the
            whole sequence, and of the Transformer the last time step; `"mean"` or `"max"` over the
            time steps.
        num_layers: recurrent layers or blocks.
        embedding_dim: width of the tokens' vectors.
        hidden_dim: units of each direction of a recurrent layer, or width of the blocks.
        dropout: fraction to drop of the inputs, of each layer's outputs and of the pooled features.
        num_heads, intermediate_dim, positions: of the blocks, see `TransformerEncoderBlock`.
        name: of the model.

    Returns:
        `keras.Model` from (B, T) int32 ids, or (B, T, D) floats, to logits (B, C).

    Raises:
        ValueError: if not one of `vocabulary_size` and `num_features` is given, a size is below 1,
            `cell` or `pooling` is unknown, or `hidden_dim` is no multiple of `num_heads`.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.sequence_classifier(2, vocabulary_size=100, pooling="max")
    print(model(np.array([[5, 6, 7], [8, 9, 0]])).shape)  # (2, 2)

    heartbeats = keras_seq.models.sequence_classifier(5, num_features=1, cell="gru")
    print(heartbeats(np.ones((2, 40, 1))).shape)  # (2, 5)
    ```
    """
    check_positive(
        "sequence_classifier",
        num_classes=num_classes,
        num_layers=num_layers,
        embedding_dim=embedding_dim,
        hidden_dim=hidden_dim,
    )
    check_choice("sequence_classifier", CELLS, cell=cell)
    check_choice("sequence_classifier", POOLINGS, pooling=pooling)
    if (vocabulary_size is None) == (num_features is None):
        raise ValueError(
            "One of `vocabulary_size` (token ids) and `num_features` (numbers) must be given to "
            f"sequence_classifier. Received: vocabulary_size={vocabulary_size}, "
            f"num_features={num_features}"
        )
    if num_features is None:
        check_positive("sequence_classifier", vocabulary_size=vocabulary_size)
        inputs = keras.Input((None,), dtype="int32", name="tokens")
        mask = ops.not_equal(inputs, 0)  # (B, T)
        x = layers.Embedding(vocabulary_size, embedding_dim, name="embedding")(inputs)
    else:
        check_positive("sequence_classifier", num_features=num_features)
        x = inputs = keras.Input((None, num_features), name="series")
        mask = ops.greater(_count_from_here(ops.any(ops.not_equal(x, 0), axis=-1)), 0)

    x = layers.Dropout(dropout)(x)
    if cell == "transformer":
        x = layers.Dense(hidden_dim, name="projection")(x)
        for i in range(num_layers):
            x = TransformerEncoderBlock(
                intermediate_dim,
                num_heads,
                dropout=dropout,
                activation="gelu",
                normalize_first=True,
                positions=positions,
                causal=not bidirectional,
                name=f"encoder_{i}",
            )(x, mask=mask)
        x = layers.LayerNormalization(epsilon=1e-5, name="norm")(x)
    else:
        for i in range(num_layers):
            is_sequence = i < num_layers - 1 or pooling != "last"
            layer = RECURRENT[cell](hidden_dim, return_sequences=is_sequence, name=f"{cell}_{i}")
            if bidirectional:
                layer = layers.Bidirectional(layer, name=f"bidirectional_{i}")
            x = layer(x, mask=mask)
            x = layers.Dropout(dropout)(x)
    if len(x.shape) == 3:
        x = layers.Dropout(dropout)(_pooled(x, mask, pooling))
    return keras.Model(inputs, layers.Dense(num_classes, name="logits")(x), name=name)


def _pooled(x, mask, pooling):
    """(B, T, D) to (B, D) float32, of the time steps where the mask (B, T) is True."""
    x = ops.cast(x, "float32")
    steps = ops.expand_dims(mask, -1)
    if pooling == "max":
        highest = ops.max(ops.where(steps, x, -float("inf")), axis=1)
        return ops.where(ops.any(steps, axis=1), highest, 0.0)  # 0 of a row of padding
    if pooling == "last":
        is_last = ops.logical_and(mask, ops.equal(_count_from_here(mask), 1))
        steps = ops.expand_dims(is_last, -1)
    total = ops.sum(ops.where(steps, x, 0.0), axis=1)
    return total / ops.maximum(ops.sum(ops.cast(steps, "float32"), axis=1), 1.0)


def _count_from_here(mask):
    """(B, T) int32: how many steps from t on are True."""
    count = ops.cumsum(ops.flip(ops.cast(mask, "int32"), axis=1), axis=1)
    return ops.flip(count, axis=1)
