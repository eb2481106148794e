"""Checks of lengths against what the embeddings have positions for and what a call takes."""

from keras_seq.stepping._embeddings import positions


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
