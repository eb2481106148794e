"""Token by token: one compiled step of the loop, called from Python."""

import numpy as np
from keras import ops

from keras_seq.generation._rows import column
from keras_seq.generation.search._search_start import SearchStart


def stream_functions(generator, prefill, max_length, prompted):
    """The two functions of a stream, to be compiled.

    Args:
        generator: the `Generator`.
        prefill: static int, see `Generator.decode`.
        max_length: static int N.
        prompted: whether rows have prompt or prefix tokens that the loop has to read.

    Returns:
        `begin(inputs, prompt, lengths, given, limit)`, which gives `(fixed, variables)`, and
        `advance(fixed, seed, variables)`, which gives `(tokens of the place, variables)`.
    """

    def begin(inputs, prompt, lengths, given, limit):
        generator.trace_count += 1
        start = generator.search_start(
            inputs, prompt, lengths, prefill, max_length, given, limit=limit
        )
        fixed = {"context": start.state["context"], "lengths": start.prompt_lengths}
        if limit is not None:
            fixed["limit"] = start.max_length
        if prompted:
            fixed["given"] = start.given_lengths
        return fixed, generator.strategy.begin(start)

    def advance(fixed, seed, variables):
        generator.trace_count += 1
        state = {"context": fixed["context"]}
        start = SearchStart(
            None,
            state,
            None,
            fixed["lengths"],
            fixed.get("given"),
            fixed.get("limit", max_length),
            seed,
        )
        i, tokens, *rest = generator.strategy.advance(generator, start, variables)
        return column(tokens, i - 1), (i, tokens, *rest)

    return begin, advance


def stream(begin, advance, arguments, seed, places):
    """Yield the tokens of each place.

    Args:
        begin, advance: compiled `stream_functions`.
        arguments: of `begin`.
        seed: (2,) int32 or `None`.
        places: `(first, shown, end)`: the place of the first step, the first place to yield and the
            one after the last.

    Yields:
        (B,) int32 NumPy arrays.
    """
    fixed, variables = begin(*arguments)
    first, shown, end = places
    for place in range(first, end):
        tokens, variables = advance(fixed, seed, variables)
        if place >= shown:
            yield np.asarray(ops.convert_to_numpy(tokens))
        if ops.convert_to_numpy(variables[3]).all():
            return
