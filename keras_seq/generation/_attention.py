"""The attention weights of a generated sequence."""

import itertools

from keras_seq.stepping._keras_private import graph_nodes, is_functional


def generated_attention(stepper, inputs, tokens):
    """Attention weights of the layers on the target's path, from one call on all of a sequence.

    Args:
        stepper: the generator's `Stepper`.
        inputs: dict of context arrays.
        tokens: (B, T) ids that the model read.

    Returns:
        Dict from layer name to (B, H, T, S) float32, as `keras_seq.inspection.attention_scores`.
    """
    from keras_seq.inspection import attention_scores

    # They come in the order in which the model runs its layers.
    scores = iter(attention_scores(stepper.model, {**inputs, stepper.target: tokens}).items())
    on_path = {}
    for node in graph_nodes(stepper.model):
        of_node = dict(itertools.islice(scores, _attention_calls(node.operation)))
        if _depends(stepper, node):
            on_path.update(of_node)
    return on_path


def check_attention(stepper):
    """Raise unless a layer on the target's path can give its attention weights."""
    nodes = [node for node in graph_nodes(stepper.model) if _depends(stepper, node)]
    if not any(_attention_calls(node.operation) for node in nodes):
        names = [node.operation.name for node in nodes]
        raise ValueError(
            "`return_attention` needs a model with an attention layer on the target's path (one "
            "whose `call` has an argument `return_attention_scores`). "
            f"Received: model `{stepper.model.name}` with the layers {names}"
        )


def _attention_calls(operation):
    """How many attention weights one call of a layer, an op or a model inside gives."""
    from keras_seq.inspection._attention_scores import _gives_scores

    if is_functional(operation):
        return sum(_attention_calls(node.operation) for node in graph_nodes(operation))
    return int(_gives_scores(operation))


def _depends(stepper, node):
    return any(id(t) in stepper.graph.depends for t in node.input_tensors)
