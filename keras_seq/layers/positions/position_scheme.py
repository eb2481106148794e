"""The protocol of position schemes: how attention knows the positions of queries and keys."""

import keras


@keras.saving.register_keras_serializable(package="keras_seq")
class PositionScheme(keras.layers.Layer):
    r"""Base of all position schemes of self-attention.

        q, k     = transform(x W_Q, x W_K, positions)
        scores   = q k^T * scale + bias(distance)

    A subclass overrides one of the two methods (or both). `RotaryEmbedding` has the first, it
    rotates queries and keys; `AlibiBias` and `RelativePositionBias` have the second. An instance is
    the argument `positions` of `MultiHeadSelfAttention`, of the blocks and of the models.

    A scheme with weights makes them in `build(query_shape)`, which gets (B, T, H, K). A layer that
    is given to several attentions is shared by them. For saving, register the class with
    `keras.saving.register_keras_serializable` and return all arguments from `get_config`.

    Args:
        **kwargs: arguments of `keras.layers.Layer` (`name`, `dtype`).

    Example:

    ```python
    import keras
    import numpy as np
    import keras_seq
    from keras import ops


    class Locality(keras_seq.layers.PositionScheme):
        def bias(self, distance, num_heads):
            return -ops.cast(ops.square(distance), "float32")[None]  # (1, T, S): for all heads


    attention = keras_seq.layers.MultiHeadSelfAttention(2, 4, causal=True, positions=Locality())
    print(attention(np.ones((1, 5, 8), "float32")).shape)  # (1, 5, 8)
    ```
    """

    is_shared = False  # whether several attentions have it; set where they are built

    def build(self, query_shape):
        """Make the weights, if there are any.

        Args:
            query_shape: (B, T, H, K); B and T may be `None`.
        """

    def transform(self, query, key, positions):
        """Queries and keys that know their positions.

        Args:
            query: (B, T, H, K) floats.
            key: (B, T, G, K) floats, of the same time steps.
            positions: (T,) int32, counted from the start of the sequence, masked steps included.
                Where documents share rows (`reset` of attention) the rows come one after another,
                as one sequence of B T steps, and each document counts from its start.

        Returns:
            `(query, key)`, of the same shapes. Keys are kept in the cache as they are given here.
        """
        return query, key

    def bias(self, distance, num_heads):
        """What is added to the scores before the softmax.

        It is a function of distances, not of positions, so that a sliding window and a cache can
        ask for the part that they need.

        Args:
            distance: (T, S) int32, the position of each query minus that of each key; negative for
                keys that come later.
            num_heads: H.

        Returns:
            Floats that broadcast to (H, T, S), or `None` for nothing.
        """
        return None
