"""Compare generated tokens and scores with the model's own call on the whole sequences."""

import functools

import numpy as np
from keras import ops

from keras_seq.export._model_call import ModelCall
from keras_seq.export._uncached_search import uncached_search
from keras_seq.export.report import ExportError
from keras_seq.generation.logits_processors._token_masks import no_candidates
from keras_seq.generation.samplers import GreedySampler
from keras_seq.generation.search.beam_search import BeamSampler

_LARGEST_LOGITS = 2**24  # numbers in the logits of one call, 64 MB


def compare_tokens(
    what, generator, inputs, prompt, tokens, scores, atol, draws=None, min_agreement=1.0
):
    """Check an artifact's tokens and scores by calling the model on its sequences.

    The model is called once on the artifact's own tokens (teacher forcing), with no stepping and no
    cache. Each token must be the one that the sampler chooses from the logits at its place, after
    the constraints, or draws with the seed of the artifact's call; the score must be the sum of the
    tokens' log-probabilities. A `BeamSampler` looks at several sequences: its tokens must be those
    of the same search with a call of the whole model for every step.

    Of two tokens that are equally likely within `atol` either may be chosen, and two sequences of a
    beam search that are; so may a token be drawn if the random number is within `atol` of its part
    of the cumulated distribution. They count as `near_ties`, unless `min_agreement` is below 1.

    Args:
        what: the artifact's name, for errors.
        generator: the `Generator` that was exported.
        inputs: dict of context arrays, N rows each.
        prompt: (N, P) int32, padded on the right, or `None` for the start token.
        tokens: (N, M) int32 of the artifact: prompt and new tokens, or new tokens alone.
        scores: (N,) of the artifact.
        atol: tolerance of scores.
        draws: `Draws` of the artifact's calls, for a sampler that draws.
        min_agreement: the fraction of tokens that must be equal.

    Returns:
        Dict of fields of an `ExportReport`.

    Raises:
        ExportError: if the artifact does not agree with the model.
    """
    if prompt is None:
        start = np.full((len(tokens), 1), generator.start_token, "int32")
        tokens = np.concatenate([start, tokens], axis=1)
        prompt, lengths = start, np.ones(len(tokens), "int32")
    else:
        lengths = (prompt != generator.pad_token).sum(axis=1).astype("int32")
    total = prompt.shape[1] + generator.max_length
    if tokens.shape[1] > total:
        raise ExportError(
            f"{what} gives {tokens.shape[1]} tokens a row, more than the {total} of the generator."
        )
    tokens = np.pad(
        tokens, ((0, 0), (0, total - tokens.shape[1])), constant_values=generator.pad_token
    )
    call, time = ModelCall(generator.model), target_time(generator, prompt.shape[1])
    size = _batch_size(generator, call, time, len(tokens))
    search = None
    if isinstance(generator.sampler, BeamSampler):
        search = uncached_search(generator, call, time)
    parts = []
    for begin, end, width, choose in _batches(generator.sampler, len(tokens), size, draws):
        # Rows past the end repeat the last one, so that few shapes are traced.
        width += -width % (call.batch_size or 1)
        rows = np.minimum(np.arange(begin, begin + width), len(tokens) - 1)
        context = {name: value[rows] for name, value in inputs.items()}
        logits = _logits(call, generator, context, tokens[rows], time)
        searched = None if search is None else search(context, prompt[rows], lengths[rows])
        arguments = tokens[rows], prompt[rows], lengths[rows], choose, searched
        part = _check_batch(generator, logits, *arguments)
        parts.append([value[: end - begin] for value in part])
    own, counted, gaps, own_scores = (np.concatenate(p) for p in zip(*parts, strict=True))
    different = own != tokens
    # What is quantized is not rounded a little: its tokens are counted as they are.
    ties = different & (gaps <= atol) & (min_agreement == 1)
    wrong = different & ~ties
    result = {
        "inputs": len(tokens),
        "tokens": int(counted.sum()),
        "tokens_equal": int((counted & ~wrong).sum()),
        "near_ties": int((counted & ties).sum()),
        "largest_difference": _largest_difference(own_scores, scores),
        "atol": atol,
        "min_agreement": min_agreement,
    }
    # Where nothing is chosen (prompt, padding) no rounding makes another token.
    strict = min_agreement == 1 or (search is None and (wrong & ~counted).any())
    _check_result(what, result, own, tokens, wrong, strict)
    return result


def _largest_difference(expected, got):
    if not np.isfinite(got).all():
        return float("inf")
    return float(np.max(np.abs(expected - got), initial=0.0))


def _check_result(what, result, own, tokens, wrong, strict):
    disagrees = f"{what} does not agree with the model's own call on the whole sequences"
    if not result["tokens"]:
        raise ExportError(f"{what} could not be compared: there are no new tokens.")
    least = result["min_agreement"]
    if (strict and wrong.any()) or result["tokens_equal"] < least * result["tokens"]:
        needed = "" if least == 1 else f" (min_agreement={least:g})"
        row = int(np.argmax(wrong.any(axis=1)))
        place = int(np.argmax(wrong[row]))
        raise ExportError(
            f"{disagrees}: {result['tokens_equal']} of {result['tokens']} tokens are equal on "
            f"{len(tokens)} inputs{needed}. First in row {row} at place {place}: the artifact "
            f"gives {tokens[row].tolist()}, and the model's choice there is {own[row, place]}. If "
            "`Generator.generate` gives the same tokens as the artifact, a layer's `step` does not "
            "give what its call gives: find it with `generator.stepper.check()`."
        )
    if not result["largest_difference"] <= result["atol"]:
        raise ExportError(
            f"{disagrees}: the scores differ by {result['largest_difference']:.3g} "
            f"(atol={result['atol']:g}), though {result['tokens_equal']} of {result['tokens']} "
            "tokens are equal."
        )


def target_time(generator, prompt_length):
    """T of the model's call on a prompt and all new tokens but the last.

    Raises:
        ValueError: if the model's target input has a fixed T that is shorter.
    """
    time = prompt_length + generator.max_length - 1
    fixed = generator.stepper.graph.inputs[generator.stepper.target].shape[1]
    if fixed is not None and fixed < time:
        raise ValueError(
            "An export is compared with the model's own call on whole sequences, and the model's "
            f"target input `{generator.stepper.target}` takes {fixed} tokens, not the {time} of "
            "the prompt (or start token) with `max_length` new tokens but the last. Build the "
            "model with `keras.Input((None,))`."
        )
    return fixed or time


def _batch_size(generator, call, time, count):
    """Rows of a call: as many as fit, in whole batches of the model."""
    beams = getattr(generator.sampler, "num_beams", 1)
    fitting = max(1, _LARGEST_LOGITS // (time * beams * generator.vocabulary_size))
    return call.batch_size or min(64, fitting, count)


def _batches(sampler, count, size, draws):
    """What is looked at together: `(first row, row after the last, rows of a call, choose)`.

    `choose(log_probabilities, place, got)` gives the (B,) tokens that the sampler takes from (B, V)
    after the constraints, and (B,) how near it was to taking `got` instead.
    """
    if draws is None:
        for begin in range(0, count, size):
            yield begin, min(begin + size, count), size, functools.partial(_chosen, sampler)
        return
    width = max(size, *draws.sizes)
    for calls in draws.batches(width):
        begin = draws.starts[calls[0]]
        end = draws.starts[calls[-1]] + draws.sizes[calls[-1]]
        yield begin, min(end, count), width, functools.partial(draws, calls)


def _logits(call, generator, context, tokens, time):
    """(B, L - 1, V) float32 logits of the model's own call, row i - 1 for the token at place i."""
    length = tokens.shape[1] - 1
    target = np.full((len(tokens), time), generator.pad_token, "int32")
    target[:, :length] = np.clip(tokens[:, :-1], 0, generator.input_size - 1)
    (logits,) = call.run({**context, generator.stepper.target: target})
    return logits[:, :length].astype("float32")


def _check_batch(generator, logits, tokens, prompt, lengths, choose, searched):
    """Go through the places of a batch and compare.

    Args:
        generator: the `Generator`.
        logits: (B, L - 1, V).
        tokens: (B, L) of the artifact.
        prompt, lengths: (B, P) and (B,).
        choose: see `_batches`.
        searched: `(tokens, scores)` of a search without a cache, (B, L) and (B,), or `None`: each
            token is chosen from the logits at its place.

    Returns:
        `(own, counted, gaps, scores)`: (B, L) the model's choices, (B, L) booleans of the
        artifact's new tokens, (B, L) by how much the log-probabilities of the two choices differ,
        and (B,) float64, log-probabilities of the artifact's sequences.
    """
    own = np.full_like(tokens, generator.pad_token)
    given = np.arange(prompt.shape[1]) < lengths[:, None]
    own[:, : prompt.shape[1]] = np.where(given, prompt, generator.pad_token)
    counted, gaps = np.zeros(tokens.shape, bool), np.full(tokens.shape, np.inf)
    scores, ended = np.zeros(len(tokens)), np.zeros(len(tokens), bool)
    for i in range(int(lengths.min()), tokens.shape[1]):
        log_p = _log_softmax(logits[:, i - 1])  # (B, V)
        basis = logits[:, i - 1] if searched is None else log_p  # what the constraints change
        allowed, no_candidates = _constrained(generator, basis, tokens, i, lengths)
        ended |= no_candidates
        active = (i >= lengths) & ~ended
        got = np.clip(tokens[:, i], 0, log_p.shape[1] - 1)
        if searched is None:
            chosen, gap = choose(allowed, i, got)
            own[:, i] = np.where(active, chosen, own[:, i])
            gaps[:, i] = np.where(active & (got == tokens[:, i]), gap, np.inf)
        scores += np.where(active, _entry(log_p, got), 0.0)
        counted[:, i] = active
        ends = np.isin(tokens[:, i], generator.end_tokens)
        ended |= active & (ends | (i + 1 - lengths >= generator.max_length))
    if searched is None:
        return own, counted, gaps, scores
    # All of a sequence is chosen together; sequences of other lengths are ranked otherwise.
    own, own_scores = searched
    pad = generator.pad_token
    same_length = (own != pad).sum(axis=1) == (tokens != pad).sum(axis=1)
    gaps = np.where(same_length, np.abs(own_scores - scores), np.inf)
    return own, counted, np.repeat(gaps[:, None], tokens.shape[1], axis=1), scores


def _constrained(generator, basis, tokens, position, lengths):
    """(B, V) log-probabilities after the constraints, (B,) whether no token is left."""
    if not generator.logits_processors:
        return _log_softmax(basis), np.zeros(len(tokens), bool)
    arguments = (basis.astype("float32"), tokens.astype("int32"), np.int32(position), lengths)
    allowed = generator.logits_processors(*map(ops.convert_to_tensor, arguments))
    empty = ops.convert_to_numpy(no_candidates(allowed)) & (position >= lengths)
    return _log_softmax(ops.convert_to_numpy(allowed)), empty


def _chosen(sampler, log_probabilities, place, got):
    """See `_batches`, for a sampler that does not draw: two likely tokens are near each other."""
    if type(sampler) is GreedySampler:
        tokens = log_probabilities.argmax(axis=-1)
    else:
        tokens, _ = sampler(ops.convert_to_tensor(log_probabilities.astype("float32")))
        tokens = ops.convert_to_numpy(tokens)
    return tokens, np.abs(_entry(log_probabilities, got) - _entry(log_probabilities, tokens))


def _log_softmax(logits):
    logits = logits.astype("float64")
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def _entry(x, index):
    return np.take_along_axis(x, index[:, None].astype("int64"), axis=1)[:, 0]
