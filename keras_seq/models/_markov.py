"""The Markov model of the next token, a table of logits, as a plain functional model."""

import keras
from keras import layers

from keras_seq.layers._arguments import check_positive


def markov(vocabulary_size, name="markov"):
    r"""First-order Markov model: the next token depends on the present one alone.

        p(x_1, ..., x_T) = prod_t p(x_t | x_1, ..., x_{t-1})   # always true (the chain rule)
                         = prod_t p(x_t | x_{t-1})             # the model's assumption

        logits_t = A[x_t],    p(x_{t+1} = j | x_t = i) = softmax(A[i])_j

    (Markov 1913, on pairs of letters; Shannon 1948, section 3.) A is a (V, V) table that starts at
    zero, where every token is equally likely. Its best value is known: with c_ij the number of
    times that j follows i in the training text, softmax(A[i])_j = c_ij / sum_k c_ik, so that a
    trained table can be compared with counted pairs.

    Args:
        vocabulary_size: V.
        name: of the model.

    Returns:
        `keras.Model` from (B, T) int32 ids to logits (B, T, V).

    Raises:
        ValueError: if `vocabulary_size` is below 1.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.markov(vocabulary_size=3)
    counts = np.array([[0, 2, 2], [4, 0, 1], [1, 1, 1]])
    model.set_weights([np.log(counts + 1e-9)])
    generator = keras_seq.generation.Generator(model, max_length=4, sampler="random")
    print(generator.generate(prompt=[[0]], seed=1).tokens)  # a walk through the table
    ```
    """
    check_positive("markov", vocabulary_size=vocabulary_size)
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    table = layers.Embedding(
        vocabulary_size, vocabulary_size, embeddings_initializer="zeros", name="logits"
    )
    return keras.Model(tokens, table(tokens), name=name)
