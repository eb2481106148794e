"""What additive and multiplicative attention of a recurrent decoder share."""

import keras
from keras import ops

from keras_seq.layers._arguments import check_rank, check_rate
from keras_seq.layers.attention._masking import checked_mask, masked_softmax, move_nan_to_key
from keras_seq.layers.attention._products import batch_product
from keras_seq.layers.sequence_layer import SequenceLayer


class ContextAttention(SequenceLayer):
    """One head of attention to a context: subclasses say how well x and the context match.

    A subclass has `_key(context)`, (B, S, features) to what the state keeps for the comparison, and
    `_scores(x, key)`, (B, T, D) and that to (B, T, S).
    """

    def __init__(self, dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        check_rate(type(self).__name__, dropout=dropout)
        self.dropout = dropout
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, x_shape, context_shape):
        check_rank(type(self).__name__, "x", x_shape, 3, "(B, T, D)")
        check_rank(type(self).__name__, "context", context_shape, 3, "(B, S, features)")

    def get_initial_state(self, batch_size, max_length=None, context=None, context_mask=None):
        """The source, ready to be compared with.

        Args:
            batch_size, max_length: ignored; the context tells the batch, the state does not grow.
            context: (B, S, features), the source.
            context_mask: (B, S) boolean, False where the source must not be attended to.

        Returns:
            Dict of `key` (B, S, width of the comparison), `value` (B, S, features) and `valid`
            (B, S) boolean.

        Raises:
            ValueError: if `context` is missing, or `context_mask` has another shape.
        """
        if context is None:
            raise ValueError(
                f"`context` of `{self.name}` ({type(self).__name__}) must be the sequence to "
                "attend to, (B, S, features); without it pass `initial_state`. Received: None"
            )
        self._check_built()
        mask = checked_mask(self, "context_mask", context, context_mask, "(B, S)")
        context = ops.cast(context, self.compute_dtype)
        if mask is None:
            mask = ops.ones_like(context[:, :, 0], dtype="bool")
        key, value = move_nan_to_key(self._key(context), context)
        return {"key": key, "value": value, "valid": mask}

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
    ):
        """Attend to `context`.

        Args:
            x: (B, T, D) floats, the decoder's states.
            context: (B, S, features) floats, the source; not needed with `initial_state`.
            mask: (B, T), the target's mask; passed on, it changes nothing here.
            context_mask: (B, S) boolean, False where the source must not be attended to.
            initial_state: what `get_initial_state(..., context=...)` gave.
            return_state: return the state, too.
            return_attention_scores: return the attention weights (B, T, S), too.
            training: whether dropout is on.

        Returns:
            y of shape (B, T, features), then the scores and the state where asked for.
        """
        state = initial_state
        if state is None:
            state = self.get_initial_state(None, context=context, context_mask=context_mask)
        weights = masked_softmax(self._scores(x, state["key"]), ops.expand_dims(state["valid"], 1))
        dropped = weights
        if training and self.dropout:
            dropped = keras.random.dropout(weights, self.dropout, seed=self.seed_generator)
        y = batch_product(dropped, state["value"])
        returns = (y,)
        if return_attention_scores:
            returns += (weights,)
        if return_state:
            returns += (state,)
        return returns if len(returns) > 1 else y

    def compute_output_shape(self, x_shape, context_shape):
        return (*x_shape[:2], context_shape[-1])

    def get_config(self):
        return {**super().get_config(), "dropout": self.dropout, "seed": self.seed}
