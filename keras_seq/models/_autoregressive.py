"""The autoregressive model of a fixed order, as a plain functional model."""

import numbers

import keras
from keras import layers, ops

from keras_seq.layers import CausalWindow
from keras_seq.layers._arguments import check_positive, check_rate


def autoregressive(
    vocabulary_size,
    order,
    embedding_dim=32,
    hidden_dim=128,
    num_layers=1,
    activation="tanh",
    dropout=0.0,
    name="autoregressive",
):
    r"""AR(p): the next token depends on the last p tokens, through a feed-forward network.

        p(x_1, ..., x_T) = prod_t p(x_t | x_{t-p}, ..., x_{t-1})

        y_t      = concat(E x_{t-p+1}, ..., E x_t)        # CausalWindow(p), zero before the start
        h_t      = tanh(W_1 y_t + b_1)                    # num_layers of these
        logits_t = W h_t + b                              # of x_{t+1}

    The neural probabilistic language model (Bengio et al. 2003, section 2, without its direct
    connections from y to the logits). What lies p + 1 tokens back has no influence at all. Two
    orders have names of their own: `order=1` is a Markov model, whose table of transitions (see
    `markov`) is made by the network; `order=0` is the naive model of independent tokens,

        p(x_1, ..., x_T) = prod_t p(x_t),    logits_t = b

    which has one weight for each token and none of the other arguments' layers.

    Args:
        vocabulary_size: V.
        order: p, the number of tokens that the model sees; 0 for independent tokens.
        embedding_dim: D of the embedding E.
        hidden_dim: width of the hidden layers.
        num_layers: hidden layers; 0 for logits that are linear in the embeddings.
        activation: of the hidden layers.
        dropout: fraction of each hidden layer's features to drop in training.
        name: of the model.

    Returns:
        `keras.Model` from (B, T) int32 ids to logits (B, T, V).

    Raises:
        ValueError: if a size or `dropout` is out of range.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.autoregressive(vocabulary_size=100, order=3)
    print(model(np.array([[5, 6, 7, 8, 9]])).shape)  # (1, 5, 100); the last logits see 7, 8, 9
    ```
    """
    for argument, value in (("order", order), ("num_layers", num_layers)):
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not whole or value < 0:
            raise ValueError(
                f"`{argument}` of autoregressive must be an int of at least 0. "
                f"Received: {argument}={value!r}"
            )
    check_positive(
        "autoregressive",
        vocabulary_size=vocabulary_size,
        embedding_dim=embedding_dim,
        hidden_dim=hidden_dim,
    )
    check_rate("autoregressive", dropout=dropout)
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    if order == 0:  # the same row of logits at each step, whatever the tokens are
        bias = layers.Embedding(1, vocabulary_size, embeddings_initializer="zeros", name="logits")
        return keras.Model(tokens, bias(ops.zeros_like(tokens)), name=name)

    x = layers.Embedding(vocabulary_size, embedding_dim, name="embedding")(tokens)
    x = CausalWindow(order, name="window")(x)  # (B, T, p D)
    for i in range(num_layers):
        x = layers.Dense(hidden_dim, activation=activation, name=f"hidden_{i}")(x)
        x = layers.Dropout(dropout)(x)
    logits = layers.Dense(vocabulary_size, name="logits")(x)
    return keras.Model(tokens, logits, name=name)
