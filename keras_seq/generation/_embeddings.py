"""Properties of the embedding that reads an input: its number of positions, what it masks."""

from keras_seq.stepping._keras_private import functional_of, graph_nodes, is_functional
from keras_seq.stepping._target_graph import input_names


def check_positions(model, input_name, length, subject):
    """Raise if `length` tokens of an input are more than its embedding has positions for.

    Args:
        model: functional model.
        input_name: of the input.
        length: T.
        subject: what has this length, for the error.
    """
    limit = positions(model, input_name)
    if limit is not None and length > limit:
        raise ValueError(
            f"{subject} of {length} tokens is longer than the model's {limit} positions, the "
            "`sequence_length` of the embedding that reads it. Shorten it, or build the model with "
            "a larger one."
        )


def check_any_length(stepper, length, subject):
    """Raise if the model can be called on one number of target steps alone, and not on `length`.

    Its steps do not mind, but a call on whole sequences is of that shape.
    """
    fixed = stepper.graph.inputs[stepper.target].shape[1]
    if fixed not in (None, length):
        raise ValueError(
            f"{subject} calls the model on {length} tokens at once, and its target input "
            f"`{stepper.target}` takes {fixed}. Build the model with `keras.Input((None,))`."
        )


def positions(model, input_name):
    """The `sequence_length` of the embedding that reads an input, or `None` if none limits it."""
    for operation in _readers(model, input_name):
        limit = getattr(operation, "sequence_length", None)
        if isinstance(limit, int) and getattr(operation, "kind", None) != "none":
            return limit
    return None


def masks_zero(model, input_name):
    """Whether an embedding that reads an input masks the id 0."""
    return any(getattr(op, "mask_zero", False) is True for op in _readers(model, input_name))


def _readers(model, input_name):
    """The layers and ops that read an input of a functional model, inside nested models too."""
    functional = functional_of(model)
    tensor = functional.inputs[input_names(functional).index(input_name)]
    for node in graph_nodes(model):
        if not any(t is tensor for t in node.input_tensors):
            continue
        operation = node.operation
        if is_functional(operation) and len(functional_of(operation).inputs) == 1:
            yield from _readers(operation, input_names(functional_of(operation))[0])
        else:
            yield operation
