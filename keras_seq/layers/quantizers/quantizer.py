"""`Quantizer`: what vector quantization and the Gumbel-softmax relaxation share."""

import keras
from keras import ops

from keras_seq.layers._arguments import check_positive
from keras_seq.layers._largest import largest


class Quantizer(keras.layers.Layer):
    """Base of layers that replace vectors by codes out of a codebook of V.

        id = argmax_v scores(x)_v
        y  = codebook[id]           # in training a differentiable stand-in for it, `relaxed`

    A subclass has `scores` and `relaxed`, and makes `self.codebook`, (V, D), in `build`. The layer
    counts how often each code is chosen in training, see `codebook_usage`.

    Args:
        vocabulary_size: V.
        **kwargs: arguments of `keras.layers.Layer` (`name`, `dtype`).
    """

    def __init__(self, vocabulary_size, **kwargs):
        super().__init__(**kwargs)
        check_positive(type(self).__name__, vocabulary_size=vocabulary_size)
        self.vocabulary_size = vocabulary_size
        self.autocast = False  # distances need float32; ids stay what they are

    def build(self, input_shape):
        self.fractions = self.add_weight(
            name="fractions", shape=(self.vocabulary_size,), initializer="zeros", trainable=False
        )

    def codebook_usage(self):
        """exp(-sum_v p_v log p_v) of the fractions p_v of code v, over about the last 100 batches.

        The perplexity of the codes: their number, had all that are in use been chosen alike.
        """
        p = self.fractions / ops.maximum(ops.sum(self.fractions), 1e-12)
        return ops.exp(-ops.sum(p * ops.log(ops.maximum(p, 1e-12))))

    def call(self, x, return_ids=False, reverse=False, training=None):
        """Quantize, or with `reverse` look codes up.

        Args:
            x: (..., D) floats; with `reverse`, (...) int ids.
            return_ids: give the ids, (...) int32, in place of codes.
            reverse: give the codes of ids.
            training: whether gradients must flow to x.

        Returns:
            (..., D) floats, or ids.
        """
        if reverse:
            return ops.take(self.codebook, ops.cast(x, "int32"), axis=0)
        x = ops.cast(x, "float32")
        scores = self.scores(x)  # (..., V)
        ids, _ = largest(scores)
        if return_ids:
            return ids
        if training:
            chosen = ops.one_hot(ops.reshape(ids, (-1,)), self.vocabulary_size)  # (N, V)
            self.fractions.assign(0.99 * self.fractions + 0.01 * ops.mean(chosen, axis=0))
        return ops.cast(self.relaxed(x, scores, ids, training), self.compute_dtype)

    def scores(self, x):
        """(..., V): the greatest is that of the code to choose for x (..., D)."""
        raise NotImplementedError

    def relaxed(self, x, scores, ids, training):
        """(..., D): the codes, in training with a gradient to x."""
        raise NotImplementedError

    def get_config(self):
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size}
