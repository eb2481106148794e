"""Learned vectors as the elements of a sequence: class token, object queries."""

import keras
from keras import initializers, ops

from keras_seq.layers._arguments import check_positive, check_rank


@keras.saving.register_keras_serializable(package="keras_seq")
class LearnedTokens(keras.layers.Layer):
    r"""A sequence of learned vectors, the same for every row of the batch.

        y_n = w_n,    n = 1 .. N

    One of them, put before the patches of an image, is the class token of the Vision Transformer
    (Dosovitskiy et al. 2021, section 3.1); N of them, the input of a decoder, are the object
    queries of DETR (Carion et al. 2020, section 3.2). Of its input the layer reads the number of
    rows and of features alone.

    Args:
        num_tokens: N.
        initializer: of w; N(0, 0.02^2) if `None`.

    Call arguments:
        x: (B, T, D) floats, the sequence that they join or attend to.

    Returns:
        (B, N, D) floats.

    Raises:
        ValueError: if `num_tokens` is not a positive int.

    Example:

    ```python
    import keras
    import keras_seq

    patches = keras.Input((49, 16))
    token = keras_seq.layers.LearnedTokens(1)(patches)
    x = keras.layers.Concatenate(axis=1)([token, patches])
    print(x.shape)  # (None, 50, 16)
    ```
    """

    def __init__(self, num_tokens, initializer=None, **kwargs):
        super().__init__(**kwargs)
        check_positive("LearnedTokens", num_tokens=num_tokens)
        self.num_tokens = num_tokens
        self.initializer = initializers.get(initializer or initializers.RandomNormal(stddev=0.02))

    def build(self, input_shape):
        check_rank("LearnedTokens", "x", input_shape, 3, "(B, T, D)")
        self.tokens = self.add_weight(
            name="tokens", shape=(self.num_tokens, input_shape[-1]), initializer=self.initializer
        )

    def call(self, x):
        tokens = ops.cast(self.tokens, self.compute_dtype)
        return ops.broadcast_to(tokens, (ops.shape(x)[0], *self.tokens.shape))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_tokens, input_shape[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "num_tokens": self.num_tokens,
            "initializer": initializers.serialize(self.initializer),
        }
