"""What to use in place of a layer that cannot be stepped."""

from keras_seq.stepping.pointwise import CAUSAL_TO_CONTEXT, MASK_OF_CONTEXT, is_third_party

_ALIKE = (
    "Use keras_seq.layers.{} in its place: its weights are laid out alike, so "
    "`new.set_weights(old.get_weights())` carries them over."
)
_HINTS = {
    "LSTM": _ALIKE.format("LSTM(units, return_sequences=True)"),
    "GRU": _ALIKE.format("GRU(units, return_sequences=True)"),
    "SimpleRNN": _ALIKE.format("SimpleRNN(units, return_sequences=True)"),
    "RNN": "Use keras_seq.layers.RNN in its place, with a cell of keras_seq.layers.",
    "Bidirectional": (
        "It reads the sequence backwards, too, so it belongs into the encoder; on the path of the "
        "target use a layer of one direction, such as keras_seq.layers.LSTM."
    ),
    "Conv1D": (
        'With `padding="causal"` and stride and dilation 1 it is keras_seq.layers.CausalWindow('
        "kernel_size) followed by keras.layers.Dense(filters): "
        "`dense.set_weights([kernel.reshape(-1, filters), bias])`."
    ),
    "MultiHeadAttention": _ALIKE.format("MultiHeadSelfAttention(num_heads, key_dim, causal=True)"),
    "GroupedQueryAttention": (
        "Use keras_seq.layers.MultiHeadSelfAttention(num_heads, key_dim, causal=True) in its place."
    ),
    "Attention": "Use keras_seq.layers.MultiHeadSelfAttention(..., causal=True) in its place.",
    "AdditiveAttention": (
        "Use keras_seq.layers.MultiHeadSelfAttention(..., causal=True) in its place; "
        "keras_seq.layers.AdditiveAttention attends to a context."
    ),
    "TransformerDecoder": (
        "Use keras_seq.layers.TransformerDecoderBlock in its place, or without cross-attention "
        "keras_seq.layers.TransformerEncoderBlock(..., causal=True)."
    ),
    "TransformerEncoder": (
        "Use keras_seq.layers.TransformerEncoderBlock(..., causal=True) in its place."
    ),
    "SinePositionEncoding": "Use keras_seq.layers.PositionalEmbedding in its place.",
    "PositionEmbedding": (
        'Use keras_seq.layers.PositionalEmbedding(..., kind="learned") in place of it and the '
        "embedding of the tokens."
    ),
    "TokenAndPositionEmbedding": (
        'Use keras_seq.layers.PositionalEmbedding(..., kind="learned") in its place.'
    ),
    "Lambda": (
        "Nothing is known about its function. Write it in keras.ops, or as a layer of your own "
        "that you declare with keras_seq.stepping.register_pointwise."
    ),
}
_ANY = (
    "Use a layer of keras_seq.layers in its place, give your layer `get_initial_state` and `step` "
    "(derive it from keras_seq.layers.SequenceLayer), or, if it does act on each time step alone, "
    "declare so with keras_seq.stepping.register_pointwise."
)


_BY_REASON = {
    CAUSAL_TO_CONTEXT: "Leave `use_causal_mask` out: the whole context is there before any step.",
    MASK_OF_CONTEXT: "Mask the context for all steps alike, with `value_mask`.",
}


def hint(operation, reason, otherwise=_ANY):
    """One or two sentences: what to do about `operation`; `otherwise` of one without its own."""
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    if is_third_party(operation):
        return otherwise
    return _HINTS.get(type(operation).__name__, otherwise)
