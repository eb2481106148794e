"""The Gumbel-softmax relaxation of a choice among codes (Jang et al. 2017; Ramesh et al. 2021)."""

import math

import keras
from keras import initializers, ops

from keras_seq.layers._arguments import is_number
from keras_seq.layers.quantizers.quantizer import Quantizer


@keras.saving.register_keras_serializable(package="keras_seq")
class GumbelQuantizer(Quantizer):
    r"""Chooses one of V codes by logits, in training a mixture of them (Jang et al. 2017).

        logits = x W + b
        y      = codebook[argmax logits]
        y      = softmax((logits + g) / temperature) codebook    # in training, g ~ Gumbel(0, 1)

    With a falling temperature mixtures become choices. `kl_weight` times the divergence of
    softmax(logits) from the uniform distribution is added to the loss, so that an autoencoder
    around the layer is the discrete VAE of Ramesh et al. 2021 (section 2.1), which lowers the
    temperature to 1/16 and raises the weight to 6.6.

    Args:
        vocabulary_size: V.
        temperature: number, or `keras.optimizers.schedules.LearningRateSchedule` of the number of
            training steps, which the layer counts (and saves).
        kl_weight: of the mean divergence of a place, in nats.
        seed: of the Gumbel noise.
        **kwargs: arguments of `keras.layers.Layer` (`name`, `dtype`).

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if an argument is out of range.

    Example:

    ```python
    import keras
    import numpy as np
    import keras_seq

    falling = keras.optimizers.schedules.CosineDecay(1.0, decay_steps=1000, alpha=1 / 16)
    layer = keras_seq.layers.GumbelQuantizer(vocabulary_size=16, temperature=falling)
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 8)).astype("float32")  # (B, h, w, D)
    print(layer(x, training=True).shape, layer(x, return_ids=True).shape)
    ```
    """

    def __init__(self, vocabulary_size, temperature=1.0, kl_weight=0.0, seed=None, **kwargs):
        super().__init__(vocabulary_size, **kwargs)
        if isinstance(temperature, dict):
            temperature = keras.saving.deserialize_keras_object(temperature)
        is_schedule = isinstance(temperature, keras.optimizers.schedules.LearningRateSchedule)
        if not is_schedule and not (is_number(temperature) and temperature > 0):
            raise ValueError(
                "`temperature` of GumbelQuantizer must be a number above 0 or a "
                f"LearningRateSchedule. Received: temperature={temperature!r}"
            )
        if not is_number(kl_weight) or kl_weight < 0:
            raise ValueError(
                "`kl_weight` of GumbelQuantizer must be a number of at least 0. "
                f"Received: kl_weight={kl_weight!r}"
            )
        self.temperature = temperature
        self.kl_weight = kl_weight
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        super().build(input_shape)
        V, D = self.vocabulary_size, input_shape[-1]
        self.kernel = self.add_weight(name="kernel", shape=(D, V), initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(V,), initializer="zeros")
        normal = initializers.RandomNormal(stddev=1.0)
        self.codebook = self.add_weight(name="codebook", shape=(V, D), initializer=normal)
        self.steps = self.add_weight(
            name="steps", shape=(), dtype="int32", initializer="zeros", trainable=False
        )

    def scores(self, x):
        return ops.matmul(x, self.kernel) + self.bias

    def relaxed(self, x, scores, ids, training):
        log_p = ops.log_softmax(scores, axis=-1)
        divergence = ops.sum(ops.exp(log_p) * log_p, axis=-1) + math.log(self.vocabulary_size)
        self.add_loss(self.kl_weight * ops.mean(divergence))
        if not training:
            return ops.take(self.codebook, ids, axis=0)
        temperature = self.temperature
        if callable(temperature):
            temperature = temperature(self.steps)
        self.steps.assign_add(1)
        uniform = keras.random.uniform(ops.shape(scores), 1e-6, 1 - 1e-6, seed=self.seed_generator)
        noise = -ops.log(-ops.log(uniform))
        mixture = ops.softmax((scores + noise) / temperature, axis=-1)  # (..., V)
        return ops.matmul(mixture, self.codebook)

    def get_config(self):
        temperature = self.temperature
        if callable(temperature):
            temperature = keras.saving.serialize_keras_object(temperature)
        return {
            **super().get_config(),
            "temperature": temperature,
            "kl_weight": self.kl_weight,
            "seed": self.seed,
        }
