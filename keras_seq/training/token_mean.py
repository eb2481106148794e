"""`TokenMean`: the mean of a loss over all tokens of a batch, on however many devices they are."""

import functools

import keras
from keras import ops

from keras_seq.layers._arguments import is_number
from keras_seq.layers._keras_private import get_mask, set_mask
from keras_seq.training._replicas import sum_over_replicas


@keras.saving.register_keras_serializable(package="keras_seq")
class TokenMean(keras.losses.Loss):
    r"""The mean of a loss over all tokens of a batch, on one device or divided among several.

    Under `tf.distribute.MirroredStrategy` and its like, each of R replicas has some rows of a
    batch, and Keras takes the mean of the replicas' means. Where masks or weights leave replicas
    unequal numbers of tokens, that is not the mean over all tokens, and a model trained on two
    devices is not the one trained on one. Here the sums are divided by the number of tokens on all
    replicas:

        loss = sum_r sum_t w_rt l_rt / sum_r n_r        # l: losses, w: masks times weights
                                                        # n_r: tokens of replica r

    This is what transformers calls `average_tokens_across_devices`. On one device it is `loss`
    itself. n_r is what Keras divides by there: the number of tokens that masks leave, or, with
    `reduction="mean_with_sample_weight"`, the sum of their weights. Masks are those that travel
    with the predictions and that of an ignored class (`ignore_class`).

    The mean weighs a token more where its batch has fewer of them. Where several batches make one
    update, as with the `gradient_accumulation_steps` of an optimizer, their mean is therefore not
    that of one large batch unless all have equally many tokens. With `num_tokens`, each sum is
    divided by the same number, and it is.

    Args:
        loss: `keras.losses.Loss`, its name or a function `(y_true, y_pred) -> losses`.
        num_tokens: what to divide by in place of the number of tokens of a batch, the same for all
            batches: about how many a batch has. `None`: how many it has.
        name: name of the loss. `None`: that of `loss`.
        dtype: as for every Keras loss. `None`: that of `loss`.

    Call arguments: `y_true, y_pred, sample_weight=None`, as for `loss`.

    Returns:
        Scalar. On a replica, its part of the mean: the sum over replicas is the mean.

    Raises:
        ValueError: if `loss` is a sum or has no reduction, or `num_tokens` is not positive.

    Example:

    ```python
    import keras
    import numpy as np
    from keras_seq.training import TokenMean

    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(20, 8, mask_zero=True)(tokens)
    model = keras.Model(tokens, keras.layers.Dense(20)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", TokenMean(loss))  # in the scope of a strategy, where there is one
    x = np.array([[3, 4, 5, 0], [6, 0, 0, 0]])  # 0 is padding: the mean over four tokens
    model.fit(x, x, verbose=0)
    ```
    """

    def __init__(self, loss, num_tokens=None, name=None, dtype=None):
        self.loss = keras.losses.get(loss)
        inner = self.loss if isinstance(self.loss, keras.losses.Loss) else None
        name = name or (inner.name if inner else getattr(self.loss, "__name__", None))
        super().__init__(name=name, dtype=dtype or (inner.dtype if inner else None))
        if inner and inner.reduction in (None, "none", "sum"):
            raise ValueError(
                "`loss` of TokenMean must have a mean as its reduction: 'sum_over_batch_size' or "
                f"'mean_with_sample_weight'. Received: {type(inner).__name__} with reduction="
                f"{inner.reduction!r}. Sums are the same on any number of devices: use it as it is."
            )
        if num_tokens is not None and not (is_number(num_tokens) and num_tokens > 0):
            raise ValueError(
                "`num_tokens` of TokenMean must be None or a positive number. Received: "
                f"{num_tokens!r}"
            )
        self.num_tokens = num_tokens
        self._weighted = inner is not None and inner.reduction == "mean_with_sample_weight"

    def __call__(self, y_true, y_pred, sample_weight=None):
        mask_of_model = get_mask(y_pred)
        y_true, y_pred = keras.tree.map_structure(
            lambda y: ops.convert_to_tensor(y, dtype=self.dtype), (y_true, y_pred)
        )
        losses = self.call(y_true, y_pred)
        masks = [m for m in (mask_of_model, get_mask(losses)) if m is not None]
        mask = functools.reduce(ops.logical_and, masks) if masks else None
        total = self._sum(losses, mask, sample_weight)
        if self.num_tokens is not None:
            return total / self.num_tokens
        count = ops.stop_gradient(self._count(losses, mask, sample_weight))
        return ops.divide_no_nan(total, sum_over_replicas(count))

    def call(self, y_true, y_pred):
        is_loss = isinstance(self.loss, keras.losses.Loss)
        return (self.loss.call if is_loss else self.loss)(y_true, y_pred)

    def _count(self, losses, mask, sample_weight):
        """What Keras divides the sum by."""
        if self._weighted and sample_weight is not None and mask is None:
            return ops.sum(ops.cast(sample_weight, losses.dtype))
        weights = sample_weight if self._weighted else None
        return self._sum(ops.ones_like(losses), mask, weights)

    def _sum(self, values, mask, sample_weight):
        """Sum over tokens, masked and weighted as Keras does it."""
        return _Sum(reduction="sum", dtype=self.dtype)(
            values, set_mask(ops.copy(values), mask), sample_weight
        )

    def get_config(self):
        return {
            "loss": keras.saving.serialize_keras_object(self.loss),
            "num_tokens": self.num_tokens,
            "name": self.name,
            "dtype": self.dtype,
        }

    @classmethod
    def from_config(cls, config):
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})


class _Sum(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return y_pred
