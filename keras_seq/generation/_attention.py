"""The attention that was paid while a sequence was generated."""

import inspect

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
    from keras_seq.inspection._attention_scores import attention_scores

    scores = attention_scores(stepper.model, {**inputs, stepper.target: tokens})
    on_path = _on_path(stepper)
    return {name: array for name, array in scores.items() if name.split("/")[0] in on_path}


def check_attention(stepper):
    """Raise unless a layer on the target's path can give its attention weights."""
    operations = _on_path(stepper).values()
    if not any(map(_attends, operations)):
        names = [operation.name for operation in operations]
        raise ValueError(
            "`return_attention` needs a model with an attention layer on the target's way (one "
            "whose `call` has an argument `return_attention_scores`). "
            f"Received: model `{stepper.model.name}` with the layers {names}"
        )


def _attends(operation):
    if is_functional(operation):
        return any(_attends(node.operation) for node in graph_nodes(operation))
    call = getattr(operation, "call", None)
    return call is not None and "return_attention_scores" in inspect.signature(call).parameters


def _on_path(stepper):
    """Dict from the name of each call that depends on the target to its layer or op."""
    on_path, calls = {}, {}
    for node in graph_nodes(stepper.model):
        name = node.operation.name
        calls[name] = calls.get(name, 0) + 1
        if any(id(t) in stepper.graph.depends for t in node.input_tensors):
            on_path[name if calls[name] == 1 else f"{name}_call_{calls[name]}"] = node.operation
    return on_path
