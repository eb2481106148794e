"""The loop of a beam search: open sequences, hypotheses, and when a row is done."""

from typing import Any, NamedTuple

import keras
from keras import ops

from keras_seq.generation._rows import any_equal, column, pick
from keras_seq.generation.logits_processors._token_masks import FORBIDDEN, no_candidates
from keras_seq.layers.attention._cache import indices


class BeamSelection(NamedTuple):
    """What `BeamSampler.select` returns: continuations of W beams by V tokens, best first.

    An index is that of a continuation among W * V: beam * V + token.

    Attributes:
        best_totals: (B, W) float32, of the best continuations, whether they end or not.
        best_index: (B, W) int32.
        open_totals: (B, W) float32, of the best continuations that do not end.
        open_index: (B, W) int32.

    Example:

    ```python
    import keras
    import keras_seq

    class Coarse(keras_seq.generation.BeamSampler):
        '''A beam search that goes by log-probabilities rounded to tenths.'''

        def select(self, totals, ends, max_ends):
            selection = super().select(keras.ops.round(totals * 10) / 10, ends, max_ends)
            print(selection.open_totals.shape)  # (1, 3), while the loop is traced
            return selection

    model = keras_seq.models.decoder_only_transformer(20, num_layers=1, num_heads=2, hidden_dim=8)
    generator = keras_seq.generation.Generator(
        model, max_length=3, sampler=Coarse(3), jit_compile=False
    )
    print(generator.generate(prompt=[[5, 6]]).tokens)
    ```
    """

    best_totals: Any
    best_index: Any
    open_totals: Any
    open_index: Any


class _Continuations(NamedTuple):
    """All continuations of the open sequences at a step.

    Attributes:
        log_p: (B, W, V), by the model.
        totals: (B, W, V), what the search goes by.
        ends: (B, W, V) booleans.
        given_token: (B, 1) int32 where rows have a given token at this place, `is_given` (B, 1)
            booleans; `None` where no row can.
        ended_beams: (B, W) int32, 1 for beams without candidates, or `None`.
    """

    log_p: Any
    totals: Any
    ends: Any
    given_token: Any
    is_given: Any
    ended_beams: Any


def beam_loop(sampler, generator, start):
    """Search with the hooks of a `BeamSampler`; arguments and result as `SearchStrategy.search`."""
    beams = sampler.num_beams
    batch, total = ops.shape(start.tokens)[0], start.tokens.shape[1]
    fixed = start.tokens.shape[0]  # B, or `None`
    state = keras.tree.map_structure(lambda x: _repeat_rows(x, beams, fixed), start.state)
    context = state["context"]  # the loop reads it and does not change it
    # At least one, where processors may leave a beam without candidates.
    max_ends = max(len(generator.end_tokens), bool(generator.logits_processors))

    def unfinished(i, steps, opened, ended, done, layers):
        return ops.logical_and(i < total, ops.logical_not(ops.all(done)))

    def body(i, steps, opened, ended, done, layers):
        last = column(opened["tokens"], i - 1)  # (B, W)
        logits, state = generator.stepper.step(
            ops.reshape(last, (batch * beams, 1)), {"context": context, "layers": layers}
        )
        found = _continuations(generator, start, i, logits, opened)
        selection = sampler.select(found.totals, found.ends, max_ends)
        continued = _continue(generator, i, found, selection.open_index, opened)
        best = continued
        if selection.best_index is not selection.open_index:
            best = _continue(generator, i, found, selection.best_index, opened)
        ended = _hypotheses(sampler, start, i, found, selection, best, ended, done)
        done = ops.logical_or(done, _is_done(sampler, start, i, selection, ended["ranks"]))
        opened = {
            "tokens": continued["tokens"],
            "scores": continued["scores"],
            "totals": selection.open_totals,
        }
        # (B, W) to places among the B * W rows of the state.
        offsets = ops.arange(batch, dtype="int32") * beams
        rows = ops.reshape(continued["parents"] + ops.expand_dims(offsets, -1), (-1,))
        layers = keras.tree.map_structure(
            # What a step hands on as it is, the same for all beams, need not move.
            lambda new, old: new if new is old else _take_rows(new, rows, fixed and fixed * beams),
            state["layers"],
            layers,
        )
        return i + 1, steps + 1, opened, ended, done, layers

    opened, ended = _initial(sampler, start)
    done = ops.zeros((batch,), dtype="bool")
    loop = (ops.convert_to_tensor(start.position, "int32"), ops.zeros((), "int32"))
    loop = (*loop, opened, ended, done, state["layers"])
    _, steps, _, ended, _, _ = ops.while_loop(unfinished, body, loop)
    ranks, order = ops.top_k(ended["ranks"], sampler.num_return_sequences or 1)
    order = ops.cast(order, "int32")
    tokens, scores = pick(ended["tokens"], order), pick(ended["scores"], order)
    scores = ops.where(ranks > FORBIDDEN / 2, scores, float("-inf"))
    if sampler.num_return_sequences is None:
        return tokens[:, 0], scores[:, 0], steps
    return tokens, scores, steps


def _initial(sampler, start):
    """Open sequences, all with the prompt, and no hypotheses."""
    beams, total = sampler.num_beams, start.tokens.shape[1]
    shape = (ops.shape(start.tokens)[0], beams)
    tokens = ops.broadcast_to(ops.expand_dims(start.tokens, 1), (*shape, total))
    totals = ops.convert_to_tensor(sampler.initial_totals(), "float32")
    opened = {
        "tokens": tokens,  # (B, W, L)
        "totals": ops.broadcast_to(totals, shape),  # what the search goes by
        "scores": ops.zeros(shape, dtype="float32"),  # log p by the model
    }
    ended = {
        "tokens": tokens,
        "ranks": ops.full(shape, FORBIDDEN, dtype="float32"),
        "scores": ops.zeros(shape, dtype="float32"),
    }
    return opened, ended


def _continuations(generator, start, i, logits, opened):
    size, beams = generator.vocabulary_size, opened["totals"].shape[1]
    batch = ops.shape(opened["totals"])[0]
    processors, given = generator.logits_processors, start.given_lengths
    (logits,) = keras.tree.flatten(logits)
    logits = ops.cast(ops.squeeze(logits, 1), "float32")
    log_p = allowed = ops.log_softmax(logits, axis=-1)  # (B * W, V)
    rows = ops.floor_divide(ops.arange(batch * beams, dtype="int32"), beams)
    ids = ops.arange(size, dtype="int32")
    ends = any_equal(ids, generator.end_tokens)  # (V,)
    own = is_given = ended_beams = None
    if processors:
        tokens = ops.reshape(opened["tokens"], (batch * beams, opened["tokens"].shape[-1]))
        lengths = ops.take(start.prompt_lengths, rows, axis=0)
        allowed = processors(log_p, tokens, i, lengths)
    if given is not None:
        own = ops.expand_dims(column(start.tokens, i), 1)
        is_given = ops.expand_dims(i < given, -1)  # (B, 1)
        in_prompt = ops.expand_dims(i < start.prompt_lengths, -1)
        log_p = ops.where(ops.take(in_prompt, rows, axis=0), ops.zeros_like(log_p), log_p)
        # An id that is read and never written has no place among V, and takes the last one's.
        place = ops.take(ops.minimum(own, size - 1), rows, axis=0)
        forced = ops.where(ops.not_equal(ids, place), FORBIDDEN, log_p)  # (B * W, V)
        allowed = ops.where(ops.take(is_given, rows, axis=0), forced, allowed)
        # An end token inside the prompt ends nothing.
        ends = ops.logical_and(ends, ops.logical_not(ops.expand_dims(in_prompt, -1)))
    ends = ops.broadcast_to(ends, (batch, beams, size))
    if processors:  # a beam without candidates gets one, which ends it
        ends_here = ops.expand_dims(no_candidates(allowed), -1)  # (B * W, 1)
        only = ops.logical_and(ends_here, ops.equal(ids, 0))
        allowed = ops.where(only, ops.zeros_like(log_p), allowed)
        log_p = ops.where(ends_here, ops.zeros_like(log_p), log_p)
        ends = ops.logical_or(ends, ops.reshape(only, (batch, beams, size)))
        ended_beams = ops.reshape(ops.cast(ends_here, "int32"), (batch, beams))
    log_p, allowed = (ops.reshape(x, (batch, beams, size)) for x in (log_p, allowed))
    totals = ops.expand_dims(opened["totals"], -1) + allowed
    return _Continuations(log_p, totals, ends, own, is_given, ended_beams)


def _continue(generator, i, found, index, opened):
    """Tokens (B, W, L), scores (B, W) and parents (B, W) of the continuations at (B, W) `index`."""
    beams, size = found.totals.shape[1:]
    parents = ops.floor_divide(index, size)
    token = index - parents * size
    if found.given_token is not None:
        token = ops.where(found.is_given, found.given_token, token)
    if found.ended_beams is not None:
        token = ops.where(pick(found.ended_beams, parents) > 0, generator.pad_token, token)
    scores = pick(opened["scores"], parents)
    scores = scores + pick(ops.reshape(found.log_p, (-1, beams * size)), index)
    tokens = pick(opened["tokens"], parents)
    tokens = ops.slice_update(tokens, indices(0, 0, i), ops.expand_dims(token, -1))
    return {"tokens": tokens, "scores": scores, "parents": parents}


def _hypotheses(sampler, start, i, found, selection, best, ended, done):
    """The hypotheses after a step: of the best continuations, those that end join the old ones."""
    beams, size = found.totals.shape[1:]
    length = i + 1 - start.prompt_lengths  # (B,) new tokens so far
    ends = ops.reshape(ops.cast(found.ends, "int32"), (-1, beams * size))
    ends = pick(ends, selection.best_index) > 0
    # At the full length all end, with an end token or not.
    ends = ops.logical_or(ends, ops.expand_dims(length >= start.max_length, -1))
    ends = ops.logical_and(ends, ops.expand_dims(ops.logical_not(done), -1))
    ends = ops.logical_and(ends, selection.best_totals > FORBIDDEN / 2)
    ranks = selection.best_totals
    if sampler.length_penalty:
        ranks = ranks / ops.expand_dims(sampler.penalty(length), -1)
    new = {**best, "ranks": ops.where(ends, ranks, FORBIDDEN)}
    joined = {name: ops.concatenate([ended[name], new[name]], axis=1) for name in ended}
    kept = sampler.retain(joined["ranks"])
    return {name: pick(x, kept) for name, x in joined.items()}


def _is_done(sampler, start, i, selection, ranks):
    """(B,) booleans: rows that are full, have nothing open, or whose open sequences may be left."""
    length = i + 1 - start.prompt_lengths
    open_total = ops.max(selection.open_totals, axis=-1)
    done = ops.logical_or(length >= start.max_length, open_total < FORBIDDEN / 2)
    worst = ops.min(ranks, axis=-1)
    if sampler.early_stopping is True:
        return ops.logical_or(done, worst > FORBIDDEN / 2)
    # A total is negative, so a larger penalty makes a better rank.
    penalty = sampler.penalty(length)
    if sampler.early_stopping == "never":
        # The upper bound of its rank, over the lengths that an open sequence may still get.
        penalty = ops.maximum(sampler.penalty(length + 1), sampler.penalty(start.max_length))
        worst = ops.top_k(ranks, sampler.num_return_sequences or 1)[0][:, -1]
    bound = open_total / penalty if sampler.length_penalty else open_total
    dominated = ops.logical_and(worst > FORBIDDEN / 2, worst >= bound)
    return ops.logical_or(done, dominated)


def _repeat_rows(x, times, batch):
    """(B, ...) to (B * times, ...), each row `times` times; a shared leaf stays.

    Of a state that begins with zeros XLA makes no constant then, as it does of rows that are taken.
    """
    if _is_shared(x, batch):
        return x
    rows, *rest = ops.shape(x)
    x = ops.broadcast_to(ops.expand_dims(x, 1), (rows, times, *rest))
    return ops.reshape(x, (rows * times, *rest))


def _take_rows(x, rows, batch):
    """`x[rows]`; a shared leaf stays."""
    return x if _is_shared(x, batch) else ops.take(x, rows, axis=0)


def _is_shared(x, batch):
    """Whether a leaf is the same for all rows: a position, or the one row of a table.

    `batch` is the static number of rows, or `None`.
    """
    return not len(x.shape) or (x.shape[0] == 1 and batch != 1)
