"""`Quantizer`: what vector quantization and the Gumbel-softmax relaxation share."""

import keras
from keras import ops

from keras_seq.layers._arguments import check_positive


class Quantizer(keras.layers.Layer):
    """Base of layers that replace vectors by codes out of a codebook of V.

        id = argmax_v scores(x)_v
        y  = codebook[id]           # in training a differentiable stand-in for it, `relaxed`

    A subclass has `scores` and `relaxed`, and makes `self.codebook`, (V, D), in `build`. Its metric
    `codebook_usage` is the perplexity of the codes chosen since metrics were reset: the number of
    codes, had all of those in use been chosen equally often.

    Args:
        vocabulary_size: V.
        **kwargs: arguments of `keras.layers.Layer` (`name`, `dtype`).
    """

    def __init__(self, vocabulary_size, **kwargs):
        super().__init__(**kwargs)
        check_positive(type(self).__name__, vocabulary_size=vocabulary_size)
        self.vocabulary_size = vocabulary_size
        self.usage = CodebookUsage(vocabulary_size)
        self.autocast = False  # distances need float32; ids stay what they are

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
        ids = ops.cast(ops.argmax(scores, axis=-1), "int32")
        if return_ids:
            return ids
        self.usage.update_state(ids)
        return ops.cast(self.relaxed(x, scores, ids, training), self.compute_dtype)

    def scores(self, x):
        """(..., V): the greatest is that of the code to choose for x (..., D)."""
        raise NotImplementedError

    def relaxed(self, x, scores, ids, training):
        """(..., D): the codes, in training with a gradient to x."""
        raise NotImplementedError

    def get_config(self):
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size}


class CodebookUsage(keras.metrics.Metric):
    """exp(-sum_v p_v log p_v) of the fractions p_v in which ids 0 ... V - 1 occur."""

    def __init__(self, vocabulary_size, name="codebook_usage", **kwargs):
        super().__init__(name=name, **kwargs)
        self.vocabulary_size = vocabulary_size
        self.counts = self.add_weight(shape=(vocabulary_size,), initializer="zeros", name="counts")

    def update_state(self, ids, sample_weight=None):
        chosen = ops.one_hot(ops.reshape(ids, (-1,)), self.vocabulary_size)
        self.counts.assign_add(ops.cast(ops.sum(chosen, axis=0), self.counts.dtype))

    def result(self):
        p = self.counts / ops.maximum(ops.sum(self.counts), 1)
        return ops.exp(-ops.sum(p * ops.log(ops.maximum(p, 1e-12))))

    def get_config(self):
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size}
