"""`SearchStart`: what every search begins with."""

from typing import Any, NamedTuple

from keras import ops

from keras_seq.layers._padded_chunk import padded_chunk


class SearchStart(NamedTuple):
    """What every search begins with. B rows, room for L = P + N tokens.

    Attributes:
        tokens: (B, L) int32: prompt, forced prefix, padding.
        state: the stepper's, after the prefill.
        position: the place in `tokens` of the first token to choose: a static int, for
            `TokenSearch` and `BeamSampler` perhaps an int32 scalar tensor.
        prompt_lengths: (B,) int32, the number of prompt tokens.
        given_lengths: (B,) int32, the number of prompt and prefix tokens, or `None` where none of
            them stands at `position` or right of it.
        max_length: N, the largest number of new tokens: a static int, for the same two perhaps an
            int32 scalar tensor, and L then more than P + N.
        seed: (2,) int32, or `None` where the strategy's `needs_seed` is false.
    """

    tokens: Any
    state: Any
    position: Any
    prompt_lengths: Any
    given_lengths: Any
    max_length: Any
    seed: Any = None


def search_start(
    stepper,
    pad_token,
    inputs,
    prompt,
    prompt_lengths,
    prefill,
    max_length,
    given_lengths=None,
    seed=None,
    limit=None,
):
    """Compute the context and read the first tokens; see `Generator.decode`."""
    tokens = ops.cast(prompt, "int32")
    batch = ops.shape(tokens)[0]
    if given_lengths is None:
        padding = ops.full((batch, max_length), pad_token, dtype="int32")
        tokens = ops.concatenate([tokens, padding], axis=1)
    total = tokens.shape[1]
    # The last token is chosen and never read.
    state = stepper.get_initial_state(batch, total - 1, inputs)
    prompt_lengths = ops.cast(prompt_lengths, "int32")
    width = total - max_length - 1
    position = ops.min(prompt_lengths) if prefill is None else prefill + 1
    if prefill is None and width:
        read = tokens[:, :width]
        exists = ops.arange(width, dtype="int32") < position - 1
        with padded_chunk(position - 1):
            _, state = stepper.prefill(read, state, ops.broadcast_to(exists, ops.shape(read)))
    elif prefill:
        _, state = stepper.prefill(tokens[:, :prefill], state)
    if given_lengths is None and prefill is not None and width > prefill:
        given_lengths = prompt_lengths  # some rows have more prompt to read
    if limit is not None:
        max_length = limit
    return SearchStart(tokens, state, position, prompt_lengths, given_lengths, max_length, seed)
