"""`keras.layers.Bidirectional` with documents that share a row."""

from keras import ops

from keras_seq.layers._keras_private import set_mask
from keras_seq.layers.recurrent.rnn import RNN
from keras_seq.layers.sequence_layer import implicit_mask

_MERGE = {
    "concat": lambda y, back: ops.concatenate([y, back], axis=-1),
    "sum": lambda y, back: y + back,
    "ave": lambda y, back: (y + back) / 2,
    "mul": lambda y, back: y * back,
    None: lambda y, back: (y, back),
}


def call_bidirectional(layer, sequences, mask=None, training=None, *, reset):
    """What the layer gives where each direction begins anew with each document.

    Backwards, a document begins with its last step, the one before the next document's first.

    Args:
        layer: `keras.layers.Bidirectional` for which `why_not_bidirectional` gives `None`.
        sequences, mask, training: as in its `call`.
        reset: (B, T) boolean, True where a document begins.
    """
    mask = implicit_mask(sequences, mask)
    last = ops.concatenate([reset[:, 1:], ops.ones_like(reset[:, :1])], axis=1)
    options = {"mask": mask, "training": training}
    y = layer.forward_layer(sequences, reset=reset, **options)
    back = ops.flip(layer.backward_layer(sequences, reset=last, **options), axis=1)
    y, back = (ops.cast(part, layer.compute_dtype) for part in (y, back))
    merged = _MERGE[layer.merge_mode](y, back)
    for part in merged if layer.merge_mode is None else [merged]:
        set_mask(part, mask)
    return merged


def why_not_bidirectional(layer):
    """`None` if documents can share a row of the layer, else the reason, and what to do."""
    inner = (layer.forward_layer, layer.backward_layer)
    if not all(isinstance(one, RNN) for one in inner):
        return (
            f"its layer is a {type(inner[0]).__module__.partition('.')[0]} "
            f"{type(inner[0]).__name__}, whose state cannot be reset",
            "Use one of keras_seq.layers in it, such as Bidirectional(keras_seq.layers.LSTM(units, "
            "return_sequences=True)); its weights are laid out alike.",
        )
    if [one.go_backwards for one in inner] != [False, True]:
        return "its first layer runs backwards", "Give it a layer that runs forwards."
    if not layer.return_sequences:
        return "it gives the last outputs of a row only", "Use `return_sequences=True`."
    if layer.stateful or layer.return_state:
        return (
            "it keeps or returns its states",
            "Make its layer without `stateful` and `return_state`.",
        )
    return None
