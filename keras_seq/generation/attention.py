"""The attention that was paid while a sequence was generated."""

from keras_seq._keras import graph_nodes


def generated_attention(stepper, inputs, tokens):
    """Attention weights of the layers on the target's path, from one call on all of a sequence.

    Args:
        stepper: the generator's `Stepper`.
        inputs: dict of context arrays.
        tokens: (B, T) ids that the model read.

    Returns:
        Dict from layer name to (B, H, T, S) float32, as `keras_seq.plots.attention_scores`.
    """
    from keras_seq.plots.attention_scores import attention_scores

    scores = attention_scores(stepper.model, {**inputs, stepper.target: tokens})
    on_path, calls = [], {}
    for node in graph_nodes(stepper.model):
        name = node.operation.name
        calls[name] = calls.get(name, 0) + 1
        if any(id(t) in stepper.graph.depends for t in node.input_tensors):
            on_path.append(name if calls[name] == 1 else f"{name}_call_{calls[name]}")
    return {name: array for name, array in scores.items() if name.split("/")[0] in on_path}
