"""The loop over time: where it starts, and one turn of it for samplers that look at one step."""

from typing import Any, NamedTuple

import keras
from keras import ops

from keras_seq.generation._rows import any_equal, entry
from keras_seq.generation.logits_processors._token_masks import no_candidates
from keras_seq.layers.attention._cache import indices


class LoopStart(NamedTuple):
    """What every loop begins with. B rows, room for L = P + N tokens.

    Attributes:
        tokens: (B, L) int32: prompt, forced prefix, padding.
        state: the stepper's, after the prefill.
        position: static int, the place of the first token to choose.
        lengths: (B,) int32, the number of prompt tokens.
        given: (B,) int32, the number of prompt and prefix tokens, or `None` where none of them
            stands at `position` or right of it.
        max_length: static int N, the largest number of new tokens.
    """

    tokens: Any
    state: Any
    position: int
    lengths: Any
    given: Any
    max_length: int


def loop_start(stepper, pad_token, inputs, prompt, lengths, prefill, max_length, given):
    """Compute the context and read the first `prefill` tokens; see `Generator.decode`."""
    tokens = ops.cast(prompt, "int32")
    batch = ops.shape(tokens)[0]
    if given is None:
        padding = ops.full((batch, max_length), pad_token, dtype="int32")
        tokens = ops.concatenate([tokens, padding], axis=1)
    total = tokens.shape[1]
    # The last token is chosen and never read.
    state = stepper.get_initial_state(inputs, batch_size=batch, max_length=total - 1)
    if prefill:
        _, state = stepper.prefill(tokens[:, :prefill], state)
    lengths = ops.cast(lengths, "int32")
    if given is None and total - max_length > prefill + 1:
        given = lengths  # some rows have more prompt to read
    return LoopStart(tokens, state, prefill + 1, lengths, given, max_length)


def first_turn(start):
    """The loop's variables: place, tokens, scores, which rows have finished, the layers' states."""
    batch = ops.shape(start.tokens)[0]
    return (
        ops.convert_to_tensor(start.position, "int32"),
        start.tokens,
        ops.zeros((batch,), dtype="float32"),
        ops.zeros((batch,), dtype="bool"),
        start.state["layers"],
    )


def next_turn(generator, start, seed, i, tokens, scores, finished, layers):
    """Choose the tokens at place `i`; takes and gives the loop's variables.

    Args:
        generator: the `Generator`.
        start: `LoopStart`; its context, lengths and `given` are read.
        seed: (2,) int32, or `None` where the sampler needs none. Samplers get it with the place.
    """
    batch = ops.shape(tokens)[0]
    last = ops.slice(tokens, indices(0, i - 1), (batch, 1))
    state = {"context": start.state["context"], "layers": layers}
    logits, state = generator.stepper.step(last, state)
    (logits,) = keras.tree.flatten(logits)
    logits = ops.cast(ops.squeeze(logits, 1), "float32")  # (B, V)
    log_probabilities = allowed = ops.log_softmax(logits, axis=-1)
    if generator.logits_processors:
        allowed = generator.logits_processors(logits, tokens, i, start.lengths)
        stuck = no_candidates(allowed)
        if start.given is not None:
            stuck = ops.logical_and(stuck, i >= start.given)
        finished = ops.logical_or(finished, stuck)
        allowed = ops.log_softmax(allowed, axis=-1)
    draw = () if seed is None else (ops.concatenate([seed, ops.reshape(i, (1,))]),)
    token, score = _checked(generator.sampler, generator.sampler(allowed, *draw))
    silent = finished
    if start.given is not None:  # a row whose prompt or prefix goes on takes its own token
        own = ops.squeeze(ops.slice(tokens, indices(0, i), (batch, 1)), 1)
        token = ops.where(i < start.given, own, token)
        silent = ops.logical_or(finished, i < start.lengths)
    if generator.logits_processors or start.given is not None:
        score = entry(log_probabilities, ops.minimum(token, log_probabilities.shape[-1] - 1))
    scores = scores + ops.where(silent, ops.zeros_like(score), score)
    token = ops.where(finished, ops.full_like(token, generator.pad_token), token)
    ends = any_equal(token, generator.end_tokens) if generator.end_tokens else None
    if start.given is not None:
        # Rows of shorter prompts are full earlier; an end token inside a prompt ends nothing.
        full = i + 1 - start.lengths >= start.max_length
        ends = full if ends is None else ops.logical_or(ends, full)
        ends = ops.logical_and(ends, i >= start.lengths)
    if ends is not None:
        finished = ops.logical_or(finished, ends)
    tokens = ops.slice_update(tokens, indices(0, i), ops.expand_dims(token, 1))
    return i + 1, tokens, scores, finished, state["layers"]


def _checked(sampler, chosen):
    """`(tokens, scores)` that a sampler gave, int32 and float32."""
    pair = isinstance(chosen, (tuple, list)) and len(chosen) == 2
    shapes = [tuple(ops.convert_to_tensor(x).shape) for x in chosen] if pair else []
    if not pair or any(len(shape) != 1 for shape in shapes):
        name = getattr(sampler, "__name__", type(sampler).__name__)
        received = f"shapes {shapes}" if pair else type(chosen).__name__
        raise ValueError(
            f"`sampler` {name} must return (tokens, scores), (B,) ids and their (B,) "
            f"log-probabilities. Received: {received}"
        )
    return ops.cast(chosen[0], "int32"), ops.cast(chosen[1], "float32")


def token_loop(generator, start, seed):
    """Choose tokens until every row has ended: `(tokens, scores, steps)`."""
    total = start.tokens.shape[1]

    def unfinished(i, tokens, scores, finished, layers):
        return ops.logical_and(i < total, ops.logical_not(ops.all(finished)))

    def turn(*variables):
        return next_turn(generator, start, seed, *variables)

    i, tokens, scores, _, _ = ops.while_loop(unfinished, turn, first_turn(start))
    return tokens, scores, i - start.position
