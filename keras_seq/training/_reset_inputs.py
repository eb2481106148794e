"""What `TruncatedBPTT` and `Packed` take: the input of a model, and where documents begin in it."""

from keras_seq.stepping._keras_private import input_names, is_functional


def split_reset(trainer, inputs):
    """`(x, reset)` of what a trainer's `call` takes; `reset` is `None` where there is none.

    Args:
        trainer: its class, for the message.
        inputs: x; `(x, reset)`; or a dict of x, under any name, and `"reset"`.

    Raises:
        ValueError: if there are other inputs.
    """
    if isinstance(inputs, dict):
        names = [name for name in inputs if name != "reset"]
        if len(names) == 1:
            return inputs[names[0]], inputs.get("reset")
        got = f"a dict of {sorted(inputs)}"
    elif isinstance(inputs, (list, tuple)):
        if len(inputs) in (1, 2):
            return (*inputs, None)[:2]
        got = f"{len(inputs)} tensors"
    else:
        return inputs, None
    raise ValueError(
        f"Inputs of {trainer} must be the model's input x, (x, reset), or a dict of x and "
        f"'reset'. Received: {got}"
    )


def check_one_input(trainer, model, why_no_context):
    """Raise unless `model`, if it has a graph, has one input."""
    names = input_names(model) if is_functional(model) else [""]
    if len(names) != 1:
        raise ValueError(
            f"`model` of {trainer} must have one input. Received a model with inputs {names}. "
            f"Resets are no input of the model, because {trainer} hands them to its layers; and "
            f"{why_no_context}."
        )
