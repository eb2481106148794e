"""Learned biases of relative positions (Raffel et al. 2020, T5)."""

import keras
import numpy as np
from keras import ops

from keras_seq.layers._arguments import check_positive
from keras_seq.layers.positions.position_scheme import PositionScheme


@keras.saving.register_keras_serializable(package="keras_seq")
class RelativePositionBias(PositionScheme):
    r"""One learned number per head for each bucket of distances (Raffel et al. 2020, T5).

        scores[h, t, s] += b[bucket(t - s), h]

    (section 2.1.) The first half of the buckets are single distances, the others grow with the
    logarithm of the distance up to `max_distance`, beyond which all share the last one. With
    `bidirectional` one half of the buckets is for earlier keys, the other for later ones; without
    it later keys count as distance 0, to which causal attention does not attend.

    T5 has one such layer for all blocks of a stack: give the same instance to all of them, or to a
    model as `positions`. Scores are not scaled there (`attention_scale=1.0`).

    Args:
        num_buckets: of distances, both directions together.
        max_distance: from which on all distances share a bucket.
        bidirectional: whether later keys have buckets of their own.
        embeddings_initializer: of b.

    Call arguments, returns: see `bias`.

    Raises:
        ValueError: if a size is out of range.

    Example:

    ```python
    import numpy as np
    import keras_seq

    positions = keras_seq.layers.RelativePositionBias(num_buckets=8, max_distance=16)
    attention = keras_seq.layers.MultiHeadSelfAttention(
        num_heads=2, key_dim=4, causal=True, positions=positions, scale=1.0
    )
    print(attention(np.ones((1, 5, 8), "float32")).shape)  # (1, 5, 8)
    ```
    """

    def __init__(
        self,
        num_buckets=32,
        max_distance=128,
        bidirectional=False,
        embeddings_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive("RelativePositionBias", num_buckets=num_buckets, max_distance=max_distance)
        exact = self._exact(num_buckets, bidirectional)
        if exact < 1 or max_distance <= exact:
            raise ValueError(
                "`num_buckets` of RelativePositionBias must be at least 2 (4 if bidirectional) and "
                f"`max_distance` above the {max(exact, 1)} distances that have a bucket each. "
                f"Received: num_buckets={num_buckets}, max_distance={max_distance}"
            )
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.bidirectional = bidirectional
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    @staticmethod
    def _exact(num_buckets, bidirectional):
        """How many distances have a bucket of their own."""
        return num_buckets // (4 if bidirectional else 2)

    def build(self, query_shape):
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.num_buckets, query_shape[-2]),
            initializer=self.embeddings_initializer,
        )

    def bias(self, distance, num_heads):
        return ops.transpose(ops.take(self.embeddings, self.buckets(distance), axis=0), (2, 0, 1))

    def buckets(self, distance):
        """(T, S) int32 distances to (T, S) int32 in [0, num_buckets)."""
        size = ops.abs(distance) if self.bidirectional else ops.maximum(distance, 0)
        bucket = ops.take(self._bucket_of_size(), ops.minimum(size, self.max_distance), axis=0)
        if self.bidirectional:
            bucket = bucket + ops.where(distance < 0, self.num_buckets // 2, 0)
        return ops.cast(bucket, "int32")

    def _bucket_of_size(self):
        """(max_distance + 1,) int32, in NumPy: an export to float16 rounds floats of the graph."""
        buckets = self.num_buckets // (2 if self.bidirectional else 1)
        exact, size = buckets // 2, np.arange(self.max_distance + 1)
        # In float32, as T5 does: exact + log(size / exact) / log(max / exact) * (buckets - exact).
        ratio = np.log(np.maximum(size, 1) / exact).astype("float32")
        growth = ratio / np.float32(np.log(self.max_distance / exact)) * (buckets - exact)
        far = np.minimum(exact + growth.astype("int32"), buckets - 1)
        return np.where(size < exact, size, far).astype("int32")

    def get_config(self):
        return {
            **super().get_config(),
            "num_buckets": self.num_buckets,
            "max_distance": self.max_distance,
            "bidirectional": self.bidirectional,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }
