"""Language models that see all of the past: recurrent ones and the Transformer."""

import keras
from keras import layers

from keras_seq.layers._arguments import check_choice, check_positive, check_rate
from keras_seq.models._decoder_only_transformer import decoder_only_transformer
from keras_seq.models._recurrent import RECURRENT


def language_model(
    vocabulary_size,
    cell="lstm",
    embedding_dim=None,
    hidden_dim=256,
    num_layers=1,
    dropout=0.0,
    tie_embeddings=False,
    name="language_model",
    **options,
):
    r"""Distribution of the next token given all tokens before it.

        p(x_1, ..., x_T) = prod_t p(x_t | x_1, ..., x_{t-1})

    Recurrent cells make it a latent autoregressive model: the past is summed up in a state h of
    fixed size,

        h_t      = g(h_{t-1}, E x_t)                # num_layers cells, one above the other
        logits_t = W h_t + b                        # of x_{t+1}; E h_t with tied embeddings

    (Mikolov et al. 2010 with a simple recurrent network, Sundermeyer et al. 2012 with an LSTM;
    dropout between the layers but not along the time: Zaremba et al. 2014; tied embeddings: Press &
    Wolf 2017.) `cell="transformer"` keeps all of the past in place of a summary and attends to it:
    `decoder_only_transformer`.

    There is no mask. What follows a token does not change its logits, so padding on the right needs
    weights of zero in the loss only, as `keras_seq.data.language_model` gives them.

    Args:
        vocabulary_size: V.
        cell: g, `"simple_rnn"`, `"gru"` or `"lstm"`; or `"transformer"`.
        embedding_dim: D of the embedding E. `None`: `hidden_dim`, as tied embeddings and the
            Transformer need it.
        hidden_dim: U of each recurrent layer, or the width of the Transformer.
        num_layers: recurrent layers, or blocks.
        dropout: fraction to drop in training, of the embeddings and of each layer's outputs.
        tie_embeddings: whether the embedding is also the output matrix.
        name: of the model.
        **options: further arguments of the recurrent layers, such as `recurrent_dropout` or
            `zoneout`; or of `decoder_only_transformer`, such as `num_heads` or `positions`.

    Returns:
        `keras.Model` from (B, T) int32 ids to logits (B, T, V).

    Raises:
        ValueError: if `cell` is unknown, a size or `dropout` is out of range, or `embedding_dim`
            is not `hidden_dim` where it must be.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.language_model(100, cell="gru", embedding_dim=16, hidden_dim=32)
    print(model(np.ones((2, 7))).shape)  # (2, 7, 100)
    generator = keras_seq.generation.Generator(model, max_length=5, sampler="random")
    print(generator.generate(prompt=[[5, 6]]).tokens.shape)  # (1, 7)
    ```
    """
    check_choice("language_model", (*RECURRENT, "transformer"), cell=cell)
    if embedding_dim is None:
        embedding_dim = hidden_dim
    check_positive(
        "language_model",
        vocabulary_size=vocabulary_size,
        hidden_dim=hidden_dim,
        embedding_dim=embedding_dim,
        num_layers=num_layers,
    )
    check_rate("language_model", dropout=dropout)
    if embedding_dim != hidden_dim and (tie_embeddings or cell == "transformer"):
        raise ValueError(
            "`embedding_dim` of language_model must be `hidden_dim` with tie_embeddings=True or "
            f"cell='transformer'; leave it out. Received: embedding_dim={embedding_dim}, "
            f"hidden_dim={hidden_dim}"
        )
    if cell == "transformer":
        return decoder_only_transformer(
            vocabulary_size,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            dropout=dropout,
            tie_embeddings=tie_embeddings,
            name=name,
            **{"padding_id": None, **options},
        )
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    embedding_class = layers.ReversibleEmbedding if tie_embeddings else layers.Embedding
    embedding = embedding_class(vocabulary_size, embedding_dim, name="embedding")
    x = layers.Dropout(dropout)(embedding(tokens))
    for i in range(num_layers):
        layer = RECURRENT[cell](hidden_dim, return_sequences=True, name=f"{cell}_{i}", **options)
        x = layers.Dropout(dropout)(layer(x))
    if tie_embeddings:
        logits = embedding(x, reverse=True)
    else:
        logits = layers.Dense(vocabulary_size, name="logits")(x)
    return keras.Model(tokens, logits, name=name)
