"""Whether a stepped model is one that a `Generator` can generate with."""

import keras

from keras_seq.generation._logits import check_logits


def check_model(stepper):
    """Raise unless the model gives logits (B, T, V) and its target input holds token ids.

    Raises:
        ValueError: naming the output or the input.
    """
    outputs = stepper.graph.outputs
    if len(outputs) != 1 or len(outputs[0].shape) != 3 or outputs[0].shape[-1] is None:
        shapes = [tuple(t.shape) for t in outputs]
        raise ValueError(
            f"`model` of Generator must have one output of logits (B, T, V). Received: {shapes}"
        )
    check_logits(stepper.model)
    if not isinstance(stepper.target, str):
        raise ValueError(
            "`target` of Generator must name one input, the one that holds the tokens. "
            f"Received: {stepper.target}"
        )
    target = stepper.graph.inputs[stepper.target]
    if len(target.shape) != 2 or not keras.backend.is_int_dtype(target.dtype):
        raise ValueError(
            f"The target input `{stepper.target}` of the Generator's model must hold int "
            f"token ids (B, T). Received: {target.dtype} of shape {tuple(target.shape)}"
        )
