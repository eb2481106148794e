"""The decoder block of the Transformer (Vaswani et al. 2017, section 3.1)."""

import keras

from keras_seq.layers.attention.cross_attention import MultiHeadCrossAttention
from keras_seq.layers.attention.self_attention import check_window
from keras_seq.layers.blocks._transformer_block import TransformerBlock
from keras_seq.layers.sequence_layer import implicit_mask


@keras.saving.register_keras_serializable(package="keras_seq")
class TransformerDecoderBlock(TransformerBlock):
    r"""Causal self-attention, cross-attention to the source, then a feed-forward network.

        x = norm(x + self_attention(x))              # causal
        x = norm(x + cross_attention(x, context))
        y = norm(x + feed_forward(x))

    (Vaswani et al. 2017, section 3.1.) A block that is first called without `context` has no
    cross-attention: it is the block of a decoder-only model.

    Its state is the KV cache of the self-attention and the source's keys and values, which are
    computed once.

    Args:
        intermediate_dim, num_heads, ...: as of `TransformerEncoderBlock`. The cross-attention has
            as many key and value heads as query heads, and no `positions` or `sliding_window`.
        causal: whether a position attends only to itself and earlier ones. The object queries of
            DETR attend to each other (Carion et al. 2020, section 3.2); such a block has no steps.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if a size or rate is out of range, or `context` comes where the block was built
            without one, or is missing where it was built with one.

    Example:

    ```python
    import numpy as np
    import keras_seq

    block = keras_seq.layers.TransformerDecoderBlock(intermediate_dim=32, num_heads=2)
    target, source = np.ones((2, 5, 8), "float32"), np.ones((2, 7, 8), "float32")
    whole = block(target, source)
    state = block.get_initial_state(batch_size=2, max_length=5, context=source)
    first, state = block.step(target[:, :1], state)
    np.testing.assert_allclose(first[:, 0], whole[:, 0], atol=1e-5)
    ```
    """

    def __init__(self, intermediate_dim, num_heads, *args, causal=True, **kwargs):
        super().__init__(intermediate_dim, num_heads, *args, **kwargs)
        check_window("TransformerDecoderBlock", self.sliding_window, causal)
        self.causal = causal

    def build(self, x_shape, context_shape=None):
        self._build_self_attention(x_shape, causal=self.causal)
        self.cross_attention = None
        if context_shape is not None:
            self.cross_attention = MultiHeadCrossAttention(
                name="cross_attention", **self._attention_arguments(x_shape[-1])
            )
            self.cross_attention.build(x_shape, context_shape)
            self.cross_attention_norm = self._build_norm("cross_attention", x_shape)
        self._build_feed_forward(x_shape)

    def get_initial_state(self, batch_size, max_length=None, context=None, context_mask=None):
        """An empty KV cache and, with cross-attention, the source's keys and values.

        Args:
            batch_size: B, an int or a scalar tensor.
            max_length: how many target steps the cache must hold.
            context: (B, S, features), the source.
            context_mask: (B, S) boolean, False where the source must not be attended to.

        Returns:
            Dict of the attentions' states, `self` and, with cross-attention, `cross`.
        """
        self._check_causal()
        self._check_built()
        self._check_context(context)
        state = {"self": self.self_attention.get_initial_state(batch_size, max_length)}
        if self.cross_attention is not None:
            state["cross"] = self.cross_attention.get_initial_state(
                batch_size, context=context, context_mask=context_mask
            )
        return state

    def call(
        self,
        x,
        context=None,
        mask=None,
        context_mask=None,
        initial_state=None,
        return_state=False,
        return_attention_scores=False,
        training=None,
        reset=None,
    ):
        """Transform a target sequence, given a source where the block was built with one.

        Args:
            x: (B, T, D) floats, the target.
            context: (B, S, features) floats, the source; not needed with `initial_state`.
            mask: (B, T) boolean, False for target positions that nobody may attend to.
            context_mask: (B, S) boolean, False where the source must not be attended to.
            initial_state, return_state: the contract's.
            return_attention_scores: return attention weights, too. `True`: the cross-attention's
                (B, H, T, S), or without cross-attention the self-attention's, (B, H, T, T), or
                (B, H, T, L) over the state's positions. `"both"`: a dict of `self` and `cross`.
            training: whether dropout is on.
            reset: (B, T) boolean, True where a document of the target begins, see
                `MultiHeadSelfAttention`. All of them attend to one source.

        Returns:
            (B, T, D), then the scores and the state where asked for.
        """
        self._check_context(context)
        _check_scores(return_attention_scores)
        state, rest = initial_state or {}, {}
        wanted = {
            "return_state": return_state,
            "return_attention_scores": bool(return_attention_scores),
        }
        x, rest["self"] = self._residual(
            "self_attention",
            x,
            training,
            mask=implicit_mask(x, mask),
            initial_state=state.get("self"),
            reset=reset,
            **wanted,
        )
        if self.cross_attention is not None:
            x, rest["cross"] = self._residual(
                "cross_attention",
                x,
                training,
                context=context,
                context_mask=implicit_mask(context, context_mask),
                initial_state=state.get("cross"),
                **wanted,
            )
        x, _ = self._residual("feed_forward", x, training)
        returns = (x,)
        if return_attention_scores:
            scores = {name: values[0] for name, values in rest.items()}
            returns += (scores if return_attention_scores == "both" else [*scores.values()][-1],)
        if return_state:
            returns += ({name: values[-1] for name, values in rest.items()},)
        return returns if len(returns) > 1 else x

    def get_config(self):
        return {**super().get_config(), "causal": self.causal}

    def _check_context(self, context):
        if context is not None and self.cross_attention is None:
            raise ValueError(
                f"`{self.name}` (TransformerDecoderBlock) was built without `context`, so it has "
                "no cross-attention. Received: context of shape "
                f"{tuple(context.shape)}. Make another block and call it with `context` at once."
            )


def _check_scores(return_attention_scores):
    if return_attention_scores not in (False, True, "both"):
        raise ValueError(
            "`return_attention_scores` of TransformerDecoderBlock must be False, True or 'both'. "
            f"Received: {return_attention_scores!r}"
        )
