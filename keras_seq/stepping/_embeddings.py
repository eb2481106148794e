"""What the embedding that reads an input tells: ids and positions that it knows, what it masks."""

from keras_seq.stepping._graph import Call, Enter, Graph
from keras_seq.stepping._keras_private import input_names

# What stands between ids and a layer of positions, time step for time step.
_BEFORE_POSITIONS = (
    "Dropout", "Embedding", "LayerNormalization", "PositionalEmbedding", "RMSNormalization",
    "ReversibleEmbedding", "SpatialDropout1D",
)  # fmt: skip


def vocabulary_size(model, input_name):
    """The number of ids that `model` knows for an input, or `None` if it does not tell."""
    for step in _readers(model, input_name):
        for attribute in ("vocabulary_size", "input_dim"):
            size = getattr(step.operation, attribute, None)
            if isinstance(size, int):
                return size
    return None


def positions(model, input_name):
    """The `sequence_length` of the positions that an input gets, or `None` if none limits it."""
    limits = []
    for step in _readers(model, input_name, _BEFORE_POSITIONS):
        limit = getattr(step.operation, "sequence_length", None)
        if isinstance(limit, int) and getattr(step.operation, "kind", None) != "none":
            limits.append(limit)
    return min(limits, default=None)


def padding_id(model, input_name):
    """The id that the embedding that reads an input masks, or `None` if none does."""
    for step in _readers(model, input_name):
        _, kwargs = step.arguments({})
        # `mask_zero` is Keras' name; `mask_padding` is said by a call for itself.
        if getattr(step.operation, "mask_zero", False) or kwargs.get("mask_padding", False):
            return getattr(step.operation, "padding_id", 0)
    return None


def _readers(model, input_name, through=()):
    """The calls that read an input of a functional model, those in models inside too.

    And those that read what layers of the names `through` make of it.
    """
    graph = Graph(model)
    keys = {graph.inputs[input_names(model).index(input_name)]}
    for step in graph.steps:
        if not any(key in keys for key in step.reads):
            continue
        if isinstance(step, Enter):
            keys.add(step.key)
        elif isinstance(step, Call):
            yield step
            if type(step.operation).__name__ in through:
                keys.update(step.gives)
