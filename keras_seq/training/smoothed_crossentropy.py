"""`SmoothedCrossentropy`: cross-entropy with label smoothing, of integer labels."""

import keras
from keras import ops

from keras_seq.layers._arguments import check_rate
from keras_seq.layers._keras_private import set_mask


@keras.saving.register_keras_serializable(package="keras_seq")
class SmoothedCrossentropy(keras.losses.Loss):
    r"""Cross-entropy of logits with smoothed labels, given as ids (Szegedy et al. 2016, section 7).

    The model is asked for y with probability 1 - eps and for any of the V classes, y among them,
    with the rest, divided evenly:

        q_v = (1 - eps) [v = y] + eps / V
        loss = -sum_v q_v log p_v = -(1 - eps) log p_y - eps / V sum_v log p_v

    That is `keras.losses.CategoricalCrossentropy(label_smoothing=eps)` of one-hot labels, without
    the (B, T, V) array of them, and PyTorch's `CrossEntropyLoss(label_smoothing=eps)`. (fairseq
    divides eps among the other V - 1 classes: its eps is V / (V - 1) times this one.) Its smallest
    value is the entropy of q, not 0; a perplexity is that of `label_smoothing=0`.

    Masks, `sample_weight` and `reduction` are as in every Keras loss. The mean over the tokens of
    a batch, with weights of 0 at the padding, is `reduction="mean_with_sample_weight"`.

    Args:
        label_smoothing: eps, in [0, 1).
        ignore_class: label that does not count, such as the id of padding. `None`: all count.
        reduction: `"sum_over_batch_size"`, `"mean_with_sample_weight"`, `"sum"` or `None`.
        name: name of the loss.
        dtype: of the sums. `None`: float32. A narrower one cannot hold the ids.

    Call arguments:
        y_true: (B, T) integer ids, or (B, T, 1), or (B,).
        y_pred: logits (B, T, V), or (B, V).
        sample_weight: weights, of the shape of the labels or broadcast to it.

    Returns:
        Scalar, or with `reduction=None` the losses, of the shape of the labels.

    Raises:
        ValueError: if `label_smoothing` is not in [0, 1), `dtype` is a 16-bit one, or the shapes of
            labels and logits do not fit.

    Example:

    ```python
    import keras
    import numpy as np
    from keras_seq.training import SmoothedCrossentropy

    labels = np.array([[3, 1, 0]])  # 0 is padding
    logits = np.random.default_rng(0).normal(size=(1, 3, 5))
    loss = SmoothedCrossentropy(0.1, reduction="mean_with_sample_weight")
    print(float(loss(labels, logits, sample_weight=labels != 0)))  # the mean over two tokens

    peer = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    expected = peer(np.eye(5)[labels[:, :2]], logits[:, :2])
    np.testing.assert_allclose(loss(labels, logits, labels != 0), expected, rtol=1e-6)
    ```
    """

    def __init__(
        self,
        label_smoothing=0.1,
        ignore_class=None,
        reduction="sum_over_batch_size",
        name="smoothed_crossentropy",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype or "float32")
        if self.dtype in ("float16", "bfloat16"):
            raise ValueError(
                "`dtype` of SmoothedCrossentropy must hold the ids of the labels, and Keras "
                f"converts them to it. Received: {self.dtype}. Leave it out: logits of a model in "
                "mixed precision are taken as they are."
            )
        check_rate("SmoothedCrossentropy", label_smoothing=label_smoothing)
        self.label_smoothing = label_smoothing
        self.ignore_class = ignore_class

    def call(self, y_true, y_pred):
        labels = ops.cast(y_true, "int32")
        if len(labels.shape) == len(y_pred.shape) and labels.shape[-1] == 1:
            labels = ops.squeeze(labels, axis=-1)
        _check_shapes(labels.shape, y_pred.shape)
        mask = None if self.ignore_class is None else ops.not_equal(labels, self.ignore_class)
        if mask is not None:
            labels = ops.where(mask, labels, 0)  # an ignored label may be none of the V
        log_p = ops.log_softmax(y_pred, axis=-1)  # (B, T, V)
        log_p_y = ops.take_along_axis(log_p, ops.expand_dims(labels, -1), axis=-1)
        eps = self.label_smoothing
        losses = -(1 - eps) * ops.squeeze(log_p_y, -1) - eps * ops.mean(log_p, axis=-1)
        if mask is None:
            return losses
        return set_mask(ops.where(mask, losses, 0.0), mask)

    def get_config(self):
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
            "ignore_class": self.ignore_class,
            "dtype": self.dtype,
        }


def _check_shapes(labels, logits):
    same = len(labels) == len(logits) - 1 and all(
        None in (a, b) or a == b for a, b in zip(labels, logits[:-1], strict=True)
    )
    if not same:
        raise ValueError(
            "Labels of SmoothedCrossentropy must be ids, one for each row of logits: (B, T) for "
            f"logits (B, T, V). Received: labels of shape {tuple(labels)} and logits of shape "
            f"{tuple(logits)}. For one-hot labels there is keras.losses.CategoricalCrossentropy."
        )
