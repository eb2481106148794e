"""How likely given sequences are: one call of the model on all of a sequence."""

from typing import Any, NamedTuple

import keras
from keras import ops

from keras_seq.stepping._keras_private import functional_of


class Scored(NamedTuple):
    """What `Generator.score` returns.

    Attributes:
        log_probabilities: (B, N) float32, natural logarithm of the probability of each token given
            those before it; 0 at padding.
        scores: (B,) float32, of each whole sequence: their sum.
    """

    log_probabilities: Any
    scores: Any


def scored(stepper, inputs, tokens, first, valid):
    """`log p(x_t | x_<t, context)` of some tokens of each row.

    Args:
        stepper: of the model.
        inputs: dict of context tensors.
        tokens: (B, M) int32.
        first: (B,) int32, where in `tokens` the first one to score stands, at least 1.
        valid: (B, N) booleans, False at padding.

    Returns:
        `Scored`.
    """
    tokens, valid = ops.convert_to_tensor(tokens), ops.convert_to_tensor(valid)
    values = {**stepper.context(inputs), stepper.target: tokens[:, :-1]}
    if any(getattr(operation, "stateful", False) for operation in stepper.graph.operations()):
        # A call would go on from where the last one ended.
        batch, time = ops.shape(tokens)[0], tokens.shape[1] - 1
        logits, _ = stepper.prefill(tokens[:, :-1], stepper.get_initial_state(batch, time, inputs))
    else:
        flat = [values[name] for name in stepper.graph.input_names]
        packed = keras.tree.pack_sequence_as(functional_of(stepper.model).input, flat)
        logits = stepper.model(packed, training=False)
    (logits,) = keras.tree.flatten(logits)
    logits = ops.cast(logits, "float32")
    # Ids of a prompt that can be read and not written have no probability, and are not asked for.
    chosen = ops.expand_dims(ops.minimum(tokens[:, 1:], logits.shape[-1] - 1), -1)
    # Only the chosen entries are needed of the log-softmax.
    chosen = ops.take_along_axis(logits, chosen, axis=-1)
    log_p = ops.squeeze(chosen, -1) - ops.logsumexp(logits, axis=-1)  # (B, M - 1)
    places = ops.expand_dims(first - 1, -1) + ops.arange(valid.shape[1], dtype="int32")
    log_p = ops.take_along_axis(log_p, ops.minimum(places, tokens.shape[1] - 2), axis=1)
    log_p = ops.where(valid, log_p, ops.zeros_like(log_p))
    return Scored(log_p, ops.sum(log_p, axis=-1))
