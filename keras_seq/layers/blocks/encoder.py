"""The encoder block of the Transformer (Vaswani et al. 2017, section 3.1)."""

import keras

from keras_seq.layers.attention.self_attention import check_window
from keras_seq.layers.blocks._transformer_block import TransformerBlock
from keras_seq.layers.sequence_layer import implicit_mask


@keras.saving.register_keras_serializable(package="keras_seq")
class TransformerEncoderBlock(TransformerBlock):
    r"""Self-attention, then a feed-forward network, each with a residual connection.

        x = norm(x + self_attention(x))
        y = norm(x + feed_forward(x))

    (Vaswani et al. 2017, section 3.1.) With `normalize_first` the normalization moves to the
    sublayers' inputs, `y = x + feed_forward(norm(x))` (Xiong et al. 2020). With `causal=True` the
    block can be stepped; its state is the attention's KV cache.

    Args:
        intermediate_dim: width inside the feed-forward network.
        num_heads: H; D must be a multiple of it unless `key_dim` is given.
        dropout: fraction to drop of the attention weights and of each sublayer's output.
        activation: of the feed-forward network, see `FeedForward`.
        layer_norm_epsilon: of the normalizations, whichever they are.
        kernel_initializer, bias_initializer: of the attention and the feed-forward network.
        normalize_first: pre-norm instead of post-norm; the model then ends with a normalization.
        normalization: `"layer"` or `"rms"` (Zhang & Sennrich 2019).
        gated: whether the feed-forward network is gated (Shazeer 2020), see `FeedForward`.
        use_bias: whether projections, feed-forward network and layer normalizations have biases.
        use_attention_bias: whether the attention's projections have biases (the paper's have none),
            or a list of those that have one, see `MultiHeadSelfAttention`; `use_bias` if `None`.
        num_key_value_heads, sliding_window, positions: of the self-attention, see
            `MultiHeadSelfAttention`; `positions` is `None`, `"rotary"`, `"alibi"` or a
            `PositionScheme`. A scheme that several blocks are given is shared by them.
        key_dim: width of each head; D / num_heads if `None`.
        attention_scale: what scores are multiplied by; 1 / sqrt(key_dim) if `None`. T5 has 1.0.
        attention_class: a subclass of `MultiHeadSelfAttention` to use in its place, registered for
            saving, see docs/extending/attention.md.
        causal: whether a position attends only to itself and earlier ones.
        seed: of the dropout.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if a size or rate is out of range, `normalization` or `positions` is unknown,
            `num_heads` is no multiple of `num_key_value_heads`, or `sliding_window` is given
            without `causal`.

    Example:

    ```python
    import numpy as np
    import keras_seq

    block = keras_seq.layers.TransformerEncoderBlock(intermediate_dim=32, num_heads=2)
    print(block(np.ones((2, 5, 8), "float32")).shape)  # (2, 5, 8)
    ```
    """

    def __init__(self, intermediate_dim, num_heads, *args, causal=False, **kwargs):
        super().__init__(intermediate_dim, num_heads, *args, **kwargs)
        check_window("TransformerEncoderBlock", self.sliding_window, causal)
        self.causal = causal

    def build(self, input_shape):
        self._build_self_attention(input_shape, causal=self.causal)
        self._build_feed_forward(input_shape)

    def get_initial_state(self, batch_size, max_length=None):
        """An empty KV cache, see `MultiHeadSelfAttention.get_initial_state`."""
        self._check_causal()
        self._check_built()
        return self.self_attention.get_initial_state(batch_size, max_length)

    def call(
        self,
        x,
        mask=None,
        initial_state=None,
        return_state=False,
        return_attention_scores=False,
        training=None,
        reset=None,
    ):
        """Transform a sequence.

        Args:
            x: (B, T, D) floats.
            mask: (B, T) boolean, False for positions that nobody may attend to.
            initial_state, return_state: the contract's (causal only).
            return_attention_scores: return the attention weights, too: (B, H, T, T), or (B, H, T,
                L) over the state's positions.
            training: whether dropout is on.
            reset: (B, T) boolean, True where a document begins, see `MultiHeadSelfAttention`.

        Returns:
            (B, T, D), then the scores and the state where asked for.
        """
        x, rest = self._residual(
            "self_attention",
            x,
            training,
            mask=implicit_mask(x, mask),
            initial_state=initial_state,
            return_state=return_state,
            return_attention_scores=return_attention_scores,
            reset=reset,
        )
        x, _ = self._residual("feed_forward", x, training)
        return (x, *rest) if rest else x

    def get_config(self):
        return {**super().get_config(), "causal": self.causal}
