"""Vector quantization (van den Oord et al. 2017)."""

import keras
from keras import ops

from keras_seq.layers._arguments import check_rate, is_number
from keras_seq.layers.quantizers.quantizer import Quantizer


@keras.saving.register_keras_serializable(package="keras_seq")
class VectorQuantizer(Quantizer):
    r"""Replaces each vector by the nearest of V codes (van den Oord et al. 2017, VQ-VAE).

        id = argmin_v |x - e_v|^2
        y  = e_id                                       # dL/dx = dL/dy, straight through

    The codes are running means of the vectors that come to them (appendix A.1),

        n_v = m n_v + (1 - m) sum_i [id_i = v]
        s_v = m s_v + (1 - m) sum_i [id_i = v] x_i
        e_v = s_v / n_v

    and `commitment_weight` times the mean of (x - e_id)^2 is added to the loss, so that vectors
    stay near their codes. A code to which fewer than `min_count` vectors a batch come is put on a
    vector of the batch (Dhariwal et al. 2020, Jukebox, section 3.1), one far from its own code: it
    is drawn by |x - e_id|^2, as in k-means++ (Arthur & Vassilvitskii 2007). So the codebook begins
    with what it first sees, no code lies idle, and what is rare gets codes, too.

    Args:
        vocabulary_size: V.
        commitment_weight: beta of the paper.
        momentum: m of the running means.
        min_count: see above.
        seed: of the vectors that are drawn.
        **kwargs: arguments of `keras.layers.Layer` (`name`, `dtype`).

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if an argument is out of range.

    Example:

    ```python
    import numpy as np
    import keras_seq

    layer = keras_seq.layers.VectorQuantizer(vocabulary_size=16)
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 8)).astype("float32")  # (B, h, w, D)
    codes, ids = layer(x), layer(x, return_ids=True)
    np.testing.assert_allclose(layer(ids, reverse=True), codes, atol=1e-6)
    ```
    """

    def __init__(
        self,
        vocabulary_size,
        commitment_weight=0.25,
        momentum=0.9,
        min_count=0.01,
        seed=None,
        **kwargs,
    ):
        super().__init__(vocabulary_size, **kwargs)
        check_rate("VectorQuantizer", momentum=momentum)
        for name, value in (("commitment_weight", commitment_weight), ("min_count", min_count)):
            if not is_number(value) or value < 0:
                raise ValueError(
                    f"`{name}` of VectorQuantizer must be a number of at least 0. "
                    f"Received: {name}={value!r}"
                )
        self.commitment_weight = commitment_weight
        self.momentum = momentum
        self.min_count = min_count
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        shape = (self.vocabulary_size, input_shape[-1])
        for name, size in (("codebook", shape), ("counts", shape[:1]), ("sums", shape)):
            start = "random_normal" if name == "codebook" else "zeros"
            weight = self.add_weight(name=name, shape=size, initializer=start, trainable=False)
            setattr(self, name, weight)

    def scores(self, x):
        codes = ops.convert_to_tensor(self.codebook)
        return 2 * ops.matmul(x, ops.transpose(codes)) - ops.sum(ops.square(codes), axis=-1)

    def relaxed(self, x, scores, ids, training):
        codes = ops.take(self.codebook, ids, axis=0)
        errors = ops.sum(ops.square(x - ops.stop_gradient(codes)), axis=-1)  # |x - e_id|^2
        self.add_loss(self.commitment_weight * ops.mean(errors) / x.shape[-1])
        if training:
            self._move_codes(ops.stop_gradient(x), ids, ops.stop_gradient(errors))
        return x + ops.stop_gradient(codes - x)

    def _move_codes(self, x, ids, errors):
        x = ops.reshape(x, (-1, x.shape[-1]))  # (N, D)
        chosen = ops.one_hot(ops.reshape(ids, (-1,)), self.vocabulary_size)  # (N, V)
        m = self.momentum
        counts = m * self.counts + (1 - m) * ops.sum(chosen, axis=0)
        sums = m * self.sums + (1 - m) * ops.matmul(ops.transpose(chosen), x)
        log_errors = ops.reshape(ops.log(errors + 1e-12), (1, -1))
        rows = keras.random.categorical(log_errors, self.vocabulary_size, seed=self.seed_generator)
        idle = counts < self.min_count
        start = 2 * self.min_count  # so that a moved code has some batches to be chosen in
        counts = ops.where(idle, start, counts)
        moved = start * ops.take(x, ops.squeeze(rows, 0), axis=0)
        sums = ops.where(ops.expand_dims(idle, -1), moved, sums)
        self.counts.assign(counts)
        self.sums.assign(sums)
        self.codebook.assign(sums / ops.expand_dims(ops.maximum(counts, 1e-6), -1))

    def get_config(self):
        return {
            **super().get_config(),
            "commitment_weight": self.commitment_weight,
            "momentum": self.momentum,
            "min_count": self.min_count,
            "seed": self.seed,
        }
