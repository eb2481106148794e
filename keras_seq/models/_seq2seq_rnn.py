"""Recurrent encoder-decoder with attention (Bahdanau et al. 2015), as a plain functional model."""

import keras
from keras import layers

from keras_seq.layers import AdditiveAttention
from keras_seq.layers._arguments import check_positive
from keras_seq.models._recurrent import RECURRENT


def seq2seq_rnn(
    source_vocabulary_size,
    target_vocabulary_size,
    embedding_dim=128,
    units=256,
    rnn="gru",
    attention_units=None,
    dropout=0.0,
    name="seq2seq_rnn",
):
    r"""Bidirectional encoder, recurrent decoder, additive attention between them.

        h_j = [forward GRU, backward GRU](E_s source)_j       # annotations of the source
        s_0 = tanh(W [forward last, backward last])
        s_t = GRU(E_t target_{t-1}, s_{t-1})
        c_t = sum_j a_tj h_j                                  # AdditiveAttention(s_t, h)
        logits_t = W_o tanh(W_c [s_t, c_t])

    After Bahdanau, Cho & Bengio 2015, with the attention after the recurrence (Luong et al. 2015,
    section 3) instead of inside it, so that the decoder's time steps train in one loop.

    Args:
        source_vocabulary_size, target_vocabulary_size: V of each side; id 0 is padding.
        embedding_dim: width of both embeddings.
        units: width of the decoder, and of both directions of the encoder together; even.
        rnn: `"gru"` or `"lstm"`.
        attention_units: width of the comparison in the attention; half of `units` if `None`.
        dropout: fraction of embedding features to drop in training.
        name: of the model.

    Returns:
        `keras.Model` with inputs `source` (B, S) and `target` (B, T) of int32 ids, and logits
        (B, T, V) as output.

    Raises:
        ValueError: if a size is below 1, `units` is odd, or `rnn` is unknown.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.seq2seq_rnn(100, 80, embedding_dim=16, units=32)
    logits = model({"source": np.ones((2, 7)), "target": np.ones((2, 5))})
    print(logits.shape)  # (2, 5, 80)
    ```
    """
    check_positive(
        "seq2seq_rnn",
        source_vocabulary_size=source_vocabulary_size,
        target_vocabulary_size=target_vocabulary_size,
        embedding_dim=embedding_dim,
        units=units,
    )
    if units % 2:
        raise ValueError(
            "`units` of seq2seq_rnn must be even, half of them for each direction of the encoder. "
            f"Received: units={units}"
        )
    if rnn not in ("gru", "lstm"):
        raise ValueError(f"`rnn` of seq2seq_rnn must be 'gru' or 'lstm'. Received: {rnn!r}")
    recurrent = RECURRENT[rnn]

    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")

    x = layers.Embedding(source_vocabulary_size, embedding_dim, mask_zero=True)(source)
    x = layers.Dropout(dropout)(x)
    encoder = recurrent(units // 2, return_sequences=True, return_state=True)
    memory, *states = layers.Bidirectional(encoder, name="encoder")(x)
    half = len(states) // 2  # the forward direction's states, then the backward direction's
    states = [
        layers.Dense(units, activation="tanh")(layers.concatenate(pair))
        for pair in zip(states[:half], states[half:], strict=True)
    ]

    y = layers.Embedding(target_vocabulary_size, embedding_dim, mask_zero=True)(target)
    y = layers.Dropout(dropout)(y)
    y = recurrent(units, return_sequences=True, name="decoder")(y, initial_state=states)
    context = AdditiveAttention(attention_units or units // 2, name="attention")(y, memory)
    y = layers.Dense(units, activation="tanh")(layers.concatenate([y, context]))
    logits = layers.Dense(target_vocabulary_size, name="logits")(y)
    return keras.Model({"source": source, "target": target}, logits, name=name)
