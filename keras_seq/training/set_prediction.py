"""`SetPrediction`: train a model whose outputs are a set, in no order."""

import keras
from keras import ops

from keras_seq.layers._arguments import is_number
from keras_seq.training._boxes import overlap, to_corners
from keras_seq.training._linear_assignment import linear_assignment

OUTPUTS = ("logits", "boxes")


@keras.saving.register_keras_serializable(package="keras_seq")
class SetPrediction(keras.Model):
    r"""Each object of an image is matched with one prediction, in plain `fit` (DETR).

    A detector gives N predictions in no order, each a distribution p over C classes and "no
    object", and a box b. Of all assignments s of the M <= N objects (class c, box t) to predictions
    the cheapest is taken, and what it does not assign is to say "no object":

        cost = -p_s(m)(c_m) + l1 |t_m - b_s(m)|_1 - giou GIoU(t_m, b_s(m))
        s    = argmin_s  sum_m cost                                       # Hungarian algorithm
        loss = mean_n -log p_n(class of what n is assigned to)            # "no object" weighs less
               + (1 / M) sum_m  l1 |t_m - b_s(m)|_1 + giou (1 - GIoU(t_m, b_s(m)))

    (Carion et al. 2020, section 3.1 and appendix A.2; the mean is weighted, M counts the objects of
    the batch. GIoU is that of Rezatofighi et al. 2019.) The loss of further outputs of the model,
    `auxiliary_logits` (B, L, N, C + 1) and `auxiliary_boxes` (B, L, N, 4), such as those of earlier
    decoder blocks, is added, each matched on its own (section 3.2, auxiliary decoding losses).

    Compile it without a loss: `trainer.compile("adamw")`. The matching runs on the host, see
    `linear_assignment`, so on TensorFlow a step cannot be compiled by XLA, and `jit_compile` is
    off. The weights are those of `model`: predict with `model` itself, and export it.

    Args:
        model: functional model with outputs `{"logits": (B, N, C + 1), "boxes": (B, N, 4)}`, such
            as `keras_seq.models.set_detector` gives. Boxes are center and size (cx, cy, w, h) as
            fractions of the image.
        l1: weight of the distance between boxes.
        giou: weight of their generalized intersection over union.
        no_object: weight of a prediction without an object in the mean of the class loss.
        **kwargs: arguments of `keras.Model` (`name`, `dtype`).

    Call arguments, returns: those of `model`. `fit` and `evaluate` take the objects of each image
    as targets, a dict of `labels` (B, M), integers, -1 for padding, and `boxes` (B, M, 4).

    Raises:
        ValueError: if a weight is negative, `model` has other outputs, or targets lack a key.

    Example:

    ```python
    import numpy as np
    import keras_seq
    from keras_seq.training import SetPrediction

    detector = keras_seq.models.set_detector((32, 32, 1), 10, num_queries=4, num_layers=1)
    trainer = SetPrediction(detector)
    trainer.compile("adamw")
    images = np.zeros((2, 32, 32, 1), "float32")
    labels = np.array([[3, 7], [5, -1]])  # the second image has one object
    boxes = np.full((2, 2, 4), 0.3)
    trainer.fit(images, {"labels": labels, "boxes": boxes}, verbose=0)
    print(detector.predict(images, verbose=0)["boxes"].shape)  # (2, 4, 4)
    ```
    """

    def __init__(self, model, l1=5.0, giou=2.0, no_object=0.1, **kwargs):
        for name, value in {"l1": l1, "giou": giou, "no_object": no_object}.items():
            if not is_number(value) or value < 0:
                raise ValueError(
                    f"`{name}` of SetPrediction is a weight and must be a number of at least 0. "
                    f"Received: {name}={value!r}"
                )
        outputs = getattr(model, "output", None)
        if not isinstance(outputs, dict) or not set(OUTPUTS) <= set(outputs):
            received = list(outputs) if isinstance(outputs, dict) else type(model).__name__
            raise ValueError(
                "`model` of SetPrediction must be a functional model with a dict of outputs, "
                f"`logits` and `boxes` among them. Received: {received}"
            )
        super().__init__(**{"dtype": model.dtype_policy, **kwargs})
        self.model = model
        self.l1, self.giou, self.no_object = l1, giou, no_object
        self._means = {n: keras.metrics.Mean(n) for n in ("class_loss", "l1_loss", "giou_loss")}
        self.built = True

    def call(self, inputs, training=None):
        return self.model(inputs, training=training)

    def compile(self, *args, jit_compile="auto", **kwargs):
        """As `keras.Model.compile`, without a loss."""
        if keras.backend.backend() == "tensorflow":
            if jit_compile is True:
                raise ValueError(
                    "`jit_compile` of SetPrediction.compile cannot be True on TensorFlow, because "
                    "the matching runs on the host. Received: True. Leave it out."
                )
            jit_compile = False
        super().compile(*args, jit_compile=jit_compile, **kwargs)

    def compile_from_config(self, config):
        """Compile a loaded model as the saved one was."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of all outputs, averaged over the batch; see the class."""
        if not isinstance(y, dict) or not {"labels", "boxes"} <= set(y):
            received = list(y) if isinstance(y, dict) else type(y).__name__
            raise ValueError(
                "The targets of SetPrediction must be a dict of `labels` (B, M) and `boxes` "
                f"(B, M, 4). Received: {received}"
            )
        labels = ops.cast(y["labels"], "int32")
        boxes = ops.cast(y["boxes"], "float32")
        parts = [self._set_losses(y_pred["logits"], y_pred["boxes"], labels, boxes)]
        for name, value in zip(self._means, parts[0], strict=True):
            self._means[name].update_state(value)
        if "auxiliary_logits" in y_pred:
            for i in range(y_pred["auxiliary_logits"].shape[1]):
                outputs = (y_pred[f"auxiliary_{name}"][:, i] for name in OUTPUTS)
                parts.append(self._set_losses(*outputs, labels, boxes))
        return sum(c + self.l1 * b + self.giou * g for c, b, g in parts)

    def _set_losses(self, logits, boxes, labels, true_boxes):
        """The three losses of one set of predictions.

        Args:
            logits: (B, N, C + 1).
            boxes: (B, N, 4).
            labels: (B, M), -1 for padding.
            true_boxes: (B, M, 4).

        Returns:
            Scalars: of the classes, of the distance, of the overlap; the latter two without weight.
        """
        logits, boxes = ops.cast(logits, "float32"), ops.cast(boxes, "float32")
        nothing, valid = logits.shape[-1] - 1, labels >= 0
        assignment = linear_assignment(self._costs(logits, boxes, labels, true_boxes), valid)

        is_valid = ops.cast(valid, "float32")  # (B, M)
        chosen = ops.one_hot(assignment, logits.shape[1]) * ops.expand_dims(is_valid, -1)
        taken = ops.sum(chosen, axis=1)  # (B, N): 1 where there is an object, else 0
        classes = ops.einsum("bmn,bm->bn", chosen, ops.cast(labels, "float32"))
        classes = ops.cast(classes + (1 - taken) * nothing, "int32")
        weights = taken + (1 - taken) * self.no_object
        crossentropy = keras.losses.sparse_categorical_crossentropy(
            classes, logits, from_logits=True
        )
        class_loss = ops.divide_no_nan(ops.sum(weights * crossentropy), ops.sum(weights))

        matched = ops.einsum("bmn,bnd->bmd", chosen, boxes)  # (B, M, 4)
        distance = ops.sum(ops.abs(matched - true_boxes), axis=-1)
        _, giou = overlap(to_corners(matched), to_corners(true_boxes))
        objects = ops.maximum(ops.sum(is_valid), 1.0)
        l1_loss = ops.sum(is_valid * distance) / objects
        giou_loss = ops.sum(is_valid * (1 - giou)) / objects
        return class_loss, l1_loss, giou_loss

    def _costs(self, logits, boxes, labels, true_boxes):
        """(B, N, M): what it costs to assign each object to each prediction."""
        is_class = ops.one_hot(labels, logits.shape[-1])  # (B, M, C + 1), zeros for padding
        probability = ops.einsum("bnc,bmc->bnm", ops.softmax(logits), is_class)
        boxes, true_boxes = ops.expand_dims(boxes, 2), ops.expand_dims(true_boxes, 1)
        distance = ops.sum(ops.abs(boxes - true_boxes), axis=-1)
        _, giou = overlap(to_corners(boxes), to_corners(true_boxes))
        return self.l1 * distance - self.giou * giou - probability

    def get_config(self):
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
            "l1": self.l1,
            "giou": self.giou,
            "no_object": self.no_object,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects)
        return cls(**{**config, "model": model})

    def get_build_config(self):
        return None  # the model is built
