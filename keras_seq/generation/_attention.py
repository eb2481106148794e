"""The attention that was paid while a sequence was generated."""

import inspect


def generated_attention(stepper, inputs, tokens):
    """Attention weights of the layers on the path of the target, from one call on a whole sequence.

    Args:
        stepper: the generator's `Stepper`.
        inputs: dict of context arrays.
        tokens: (B, T) ids that the model read.

    Returns:
        Dict from layer name to (B, H, T, S) float32, as `keras_seq.inspection.attention_scores`.
    """
    from keras_seq.inspection import attention_scores

    scores = attention_scores(stepper.model, {**inputs, stepper.target: tokens})
    on_path = {call.name for call in stepper.graph.target_calls}
    return {name: array for name, array in scores.items() if name in on_path}


def check_attention(stepper):
    """Raise unless a layer on the path of the target can give its attention weights."""
    calls = stepper.graph.target_calls
    if not any(map(_attends, calls)):
        raise ValueError(
            "`return_attention` needs a model with an attention layer on the path of the target "
            "(one whose `call` has an argument `return_attention_scores`). "
            f"Received: model `{stepper.model.name}` with the layers {[c.name for c in calls]}"
        )


def _attends(target_call):
    call = getattr(target_call.call.operation, "call", None)
    return call is not None and "return_attention_scores" in inspect.signature(call).parameters
