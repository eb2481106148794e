"""A call of a `Generator`, checked: what its compiled functions are given."""

from typing import Any, NamedTuple

import numpy as np

from keras_seq.generation._context_inputs import checked_inputs
from keras_seq.generation._lengths import check_positions
from keras_seq.generation._padding import padded_width
from keras_seq.generation._token_ids import joined_rows, padded_prefix, padded_prompt
from keras_seq.generation.samplers._random_numbers import seed_words
from keras_seq.layers._arguments import check_positive


class Request(NamedTuple):
    """What `generate` and `stream` give their compiled functions.

    Attributes:
        static: `(prefill, max_length, prompted)`, which choose the compiled function; `prefill` is
            `None` where the place up to which prompts are read at once is known at run time.
        arguments: `(inputs, prompt, lengths, given, limit)` of `Generator.decode`.
        seed: (2,) int32, or `None` for a sampler that does not draw.
        total: width of the rows, prompt and new tokens; what is generated may be wider, where
            prompts were padded further.
    """

    static: Any
    arguments: Any
    seed: Any
    total: Any


def checked_request(generator, inputs, prompt, max_length, seed, prefix):
    """The `Request` of a call; the arguments are those of `Generator.generate`.

    Raises:
        TypeError, ValueError: see `Generator.generate`.
    """
    max_length = generator.max_length if max_length is None else max_length
    check_positive("generate", max_length=max_length)
    shortest_end = generator.logits_processors.min_length
    if max_length < shortest_end:
        raise ValueError(
            f"`max_length` must not be below min_length={shortest_end} of the Generator. "
            f"Received: {max_length}"
        )
    words = _checked_seed(generator, seed)
    inputs = checked_inputs(generator, inputs)
    prompt, lengths = checked_prompt(generator, prompt, inputs)
    shortest, total = int(lengths.min()), prompt.shape[1] + max_length
    subject = f"`prompt` with `max_length` = {max_length} new tokens, but for the last,"
    check_positions(generator.model, generator.stepper.target, total - 1, subject)
    # The shortest prompt's tokens, but for the last, are read at once.
    prefill, width = shortest - 1, prompt.shape[1]
    if width > 1 and generator._padding.prompts:
        prefill, width = None, padded_width(width, generator._padding.room + 1 - max_length)
    elif 0 < prefill and shortest < width:
        # Of different lengths a power of two, so that they share a few compiled functions.
        prefill = 1 << (prefill.bit_length() - 1)
    room_for, limit = max_length, None
    if max_length != generator.max_length and generator._padding.prompts:
        most = generator.max_length if max_length < generator.max_length else float("inf")
        most = min(most, generator._padding.room + 1 - width)
        room_for, limit = padded_width(max_length, most), np.array(max_length, "int32")
    given = None
    if prefix is not None:
        prefix, prefix_lengths = padded_prefix(
            prefix,
            len(prompt),
            generator.pad_token,
            generator.vocabulary_size,
            generator.end_tokens,
            max_length,
        )
        given = lengths + prefix_lengths
        rows = prompt, lengths, prefix, prefix_lengths
        prompt = joined_rows(*rows, width + room_for, generator.pad_token)
    else:
        if prefill is None and shortest < prompt.shape[1]:
            given, width = lengths, width + room_for
        padding = ((0, 0), (0, width - prompt.shape[1]))
        prompt = np.pad(prompt, padding, constant_values=generator.pad_token)
    prompted = given is not None or (prefill is not None and width > prefill + 1)
    return Request(
        static=(prefill, room_for, prompted),
        arguments=(inputs, prompt, lengths, given, limit),
        seed=words,
        total=total,
    )


def _checked_seed(generator, seed):
    """(2,) int32 of the call's seed or the sampler's own, `None` where nothing is drawn."""
    strategy, name = generator.strategy, type(generator.sampler).__name__
    if getattr(strategy, "needs_seed", False):
        if seed is None:
            return seed_words(getattr(strategy, "seed", None), f"seed` of `{name}")
        return seed_words(seed)
    if seed is not None:
        name = getattr(generator.sampler, "__name__", name)
        raise ValueError(
            f"`seed` must be None, for the sampler {name} takes none. Received: {seed!r}. A "
            "sampler of your own that draws has `needs_seed = True` and is called with the seed, "
            "see keras_seq.generation.Sampler."
        )
    return None


def checked_prompt(generator, prompt, inputs, rows=1):
    """`(prompt, lengths)`: (B, P) int32 ids and (B,) int32 how many of them each row has.

    Args:
        generator: whose vocabulary, padding and start token count.
        prompt: see `Generator.generate`; `None` is the start token.
        inputs: checked context, whose batch size the prompt must have.
        rows: the batch size where there is neither prompt nor context.
    """
    batch = next((v.shape[0] for v in inputs.values()), None)
    if prompt is None:
        if generator.start_token is None:
            raise ValueError("`prompt` must be given, or the Generator built with a `start_token`.")
        prompt = np.full((batch or rows, 1), generator.start_token, "int32")
        return prompt, np.ones(len(prompt), "int32")
    prompt, lengths = padded_prompt(prompt, generator.pad_token, generator.input_size)
    if batch is not None and batch != len(prompt):
        raise ValueError(
            f"`prompt` has {len(prompt)} rows and `inputs` have {batch}; they must be equal."
        )
    return prompt, lengths
