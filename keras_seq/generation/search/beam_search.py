"""Beam search: keep the best few beginnings of each row, and the best sequences that have ended."""

import keras
from keras import ops

from keras_seq.generation._rows import any_equal, pick
from keras_seq.generation.logits_processors._token_masks import FORBIDDEN, no_candidates
from keras_seq.layers._arguments import check_positive, is_number
from keras_seq.layers.attention._cache import indices


class BeamSampler:
    r"""Looks for the likeliest sequences by beam search with a length penalty.

    Of all continuations of `num_beams` open sequences the best ones by log-probability stay open.
    A sequence that ends leaves them for a set of the best `num_beams` ended ones, ranked by

        score(Y) = log p(Y) / lp(Y),    lp(Y) = ((5 + |Y|) / 6)^length_penalty

    (Wu et al. 2016, equation 14; |Y| counts the new tokens, the end token included). A row is done
    when no open sequence can still outrank what has ended, however it goes on: a log-probability
    only sinks, and lp is bounded by `max_length`. With `return_all_beams`, when none can enter the
    set. Of equals the earlier beam and the lower id win.

    It is no function of one step, so it is passed to a `Generator` and not called. `scores` of what
    is generated stay log p(Y), without the penalty.

    Args:
        num_beams: how many sequences of a row are kept open.
        return_all_beams: `generate` returns the best `num_beams` sequences of each row, best first:
            tokens (B, num_beams, N) and scores (B, num_beams), -inf (and no new tokens) where there
            are not that many. Otherwise the best alone.
        length_penalty: the exponent. 0 ranks by log-probability, which favours short sequences;
            larger values favour long ones.
        early_stopping: a row is done as soon as `num_beams` sequences have ended, though a better
            one may be open: faster. Then only those end that are among the best `num_beams`
            continuations when they do.

    Raises:
        ValueError: if an argument is out of range.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.seq2seq_rnn(30, 20, embedding_dim=8, units=16)
    sampler = keras_seq.generation.BeamSampler(num_beams=3, return_all_beams=True)
    generator = keras_seq.generation.Generator(
        model, max_length=6, start_token=2, end_token=3, sampler=sampler
    )
    out = generator.generate(np.array([[5, 6, 7, 3]]))
    print(out.tokens.shape, out.scores.shape)  # (1, 3, 6) (1, 3)
    ```
    """

    def __init__(
        self, num_beams=5, return_all_beams=False, length_penalty=0.6, early_stopping=False
    ):
        check_positive("BeamSampler", num_beams=num_beams)
        if not is_number(length_penalty):
            raise ValueError(
                "`length_penalty` of BeamSampler must be a finite number, the exponent alpha. "
                f"Received: {length_penalty!r}"
            )
        for name, value in (
            ("return_all_beams", return_all_beams),
            ("early_stopping", early_stopping),
        ):
            if not isinstance(value, bool):
                raise ValueError(f"`{name}` of BeamSampler must be a bool. Received: {value!r}")
        self.num_beams = num_beams
        self.return_all_beams = return_all_beams
        self.length_penalty = length_penalty
        self.early_stopping = early_stopping

    def penalty(self, length):
        """lp of sequences of `length` tokens, an int or an int tensor."""
        return ((5.0 + ops.cast(ops.maximum(length, 1), "float32")) / 6.0) ** self.length_penalty

    def search(self, generator, start):
        """The loop.

        Args:
            generator: the `Generator`.
            start: `LoopStart`.

        Returns:
            `(tokens, scores, steps)`: (B, L) or (B, W, L) int32, (B,) or (B, W) float32, scalar.
        """
        beams = self.num_beams
        batch, total = ops.shape(start.tokens)[0], start.tokens.shape[1]
        rows = ops.floor_divide(ops.arange(batch * beams, dtype="int32"), beams)
        fixed = start.tokens.shape[0]  # B, or `None`
        state = keras.tree.map_structure(lambda x: _take_rows(x, rows, fixed), start.state)
        context = state["context"]  # the loop reads it and does not change it

        def unfinished(i, steps, opened, ended, done, layers):
            return ops.logical_and(i < total, ops.logical_not(ops.all(done)))

        def turn(i, steps, opened, ended, done, layers):
            last = ops.slice(opened["tokens"], indices(0, 0, i - 1), (batch, beams, 1))
            logits, state = generator.stepper.step(
                ops.reshape(last, (batch * beams, 1)), {"context": context, "layers": layers}
            )
            candidates = self._candidates(generator, start, i, logits, opened)
            opened, ended, done, parents = self._kept(start, i, candidates, opened, ended, done)
            # (B, W) to places among the B * W rows of the state.
            offsets = ops.arange(batch, dtype="int32") * beams
            rows = ops.reshape(parents + ops.expand_dims(offsets, -1), (-1,))
            layers = keras.tree.map_structure(
                # What a step hands on as it is, the same for all beams, need not move.
                lambda new, old: (
                    new if new is old else _take_rows(new, rows, fixed and fixed * beams)
                ),
                state["layers"],
                layers,
            )
            return i + 1, steps + 1, opened, ended, done, layers

        opened, ended = self._nothing_yet(start)
        done = ops.zeros((batch,), dtype="bool")
        loop = (ops.convert_to_tensor(start.position, "int32"), ops.zeros((), "int32"))
        loop = (*loop, opened, ended, done, state["layers"])
        _, steps, _, ended, _, _ = ops.while_loop(unfinished, turn, loop)
        scores = ops.where(ended["ranks"] > FORBIDDEN / 2, ended["scores"], float("-inf"))
        if self.return_all_beams:
            return ended["tokens"], scores, steps
        return ended["tokens"][:, 0], scores[:, 0], steps

    def _nothing_yet(self, start):
        """Open: one sequence a row, the others dead. Ended: none."""
        beams, total = self.num_beams, start.tokens.shape[1]
        shape = (ops.shape(start.tokens)[0], beams)
        tokens = ops.broadcast_to(ops.expand_dims(start.tokens, 1), (*shape, total))
        dead = ops.cast(ops.arange(beams, dtype="int32") > 0, "float32") * FORBIDDEN
        opened = {
            "tokens": tokens,  # (B, W, L)
            "totals": ops.broadcast_to(dead, shape),  # what the search goes by
            "scores": ops.zeros(shape, dtype="float32"),  # log p by the model
        }
        ended = {
            "tokens": tokens,
            "ranks": ops.full(shape, FORBIDDEN, dtype="float32"),
            "scores": ops.zeros(shape, dtype="float32"),
        }
        return opened, ended

    def _candidates(self, generator, start, i, logits, opened):
        """The best continuations of the open sequences, best first, (B, C) each.

        C is so large that `num_beams` of them do not end.
        """
        beams, size = self.num_beams, generator.vocabulary_size
        batch = ops.shape(start.tokens)[0]
        (logits,) = keras.tree.flatten(logits)
        logits = ops.cast(ops.squeeze(logits, 1), "float32")
        log_p = ops.log_softmax(logits, axis=-1)  # (B * W, V)
        rows = ops.floor_divide(ops.arange(batch * beams, dtype="int32"), beams)
        tokens = ops.reshape(opened["tokens"], (batch * beams, opened["tokens"].shape[-1]))
        allowed = log_p
        if generator.logits_processors:
            lengths = ops.take(start.lengths, rows, axis=0)
            allowed = generator.logits_processors(log_p, tokens, i, lengths)
        if start.given is not None:
            own = ops.slice(start.tokens, indices(0, i), (batch, 1))
            # An id that is read and never written has no place among V, and takes the last one's.
            place = ops.take(ops.minimum(own, size - 1), rows, axis=0)
            other = ops.not_equal(ops.arange(size, dtype="int32"), place)  # (B * W, V)
            is_given = ops.expand_dims(i < ops.take(start.given, rows, axis=0), -1)
            in_prompt = ops.expand_dims(i < ops.take(start.lengths, rows, axis=0), -1)
            log_p = ops.where(in_prompt, ops.zeros_like(log_p), log_p)
            allowed = ops.where(is_given, ops.where(other, FORBIDDEN, log_p), allowed)
        ending = len(generator.end_tokens)
        if generator.logits_processors:  # a beam without candidates gets one: it ends
            stuck = ops.expand_dims(no_candidates(allowed), -1)  # (B * W, 1)
            first = ops.equal(ops.arange(size, dtype="int32"), 0)
            allowed = ops.where(ops.logical_and(stuck, first), ops.zeros_like(log_p), allowed)
            log_p = ops.where(stuck, ops.zeros_like(log_p), log_p)
            ending = max(ending, 1)
        totals = ops.expand_dims(opened["totals"], -1) + ops.reshape(allowed, (batch, beams, size))
        count = min(beams * (1 + ending), beams * size)
        totals, index = ops.top_k(ops.reshape(totals, (batch, beams * size)), count)
        index = ops.cast(index, "int32")
        parents = ops.floor_divide(index, size)
        token = index - parents * size
        if start.given is not None:
            token = ops.where(ops.expand_dims(i < start.given, -1), own, token)
        ends = any_equal(token, generator.end_tokens)
        if start.given is not None:  # an end token inside the prompt ends nothing
            ends = ops.logical_and(ends, ops.expand_dims(i >= start.lengths, -1))
        if generator.logits_processors:
            silent = pick(ops.reshape(ops.cast(stuck, "int32"), (batch, beams)), parents) > 0
            token = ops.where(silent, generator.pad_token, token)
            ends = ops.logical_or(ends, silent)
        scores = pick(opened["scores"], parents)
        scores = scores + pick(ops.reshape(log_p, (batch, beams * size)), index)
        tokens = pick(opened["tokens"], parents)
        tokens = ops.slice_update(tokens, indices(0, 0, i), ops.expand_dims(token, -1))
        return {"tokens": tokens, "totals": totals, "scores": scores, "ends": ends, "of": parents}

    def _kept(self, start, i, candidates, opened, ended, done):
        """The new open and ended sequences: `(opened, ended, done, parents)`."""
        totals, ends = candidates["totals"], candidates["ends"]
        length = i + 1 - start.lengths  # (B,) new tokens so far
        full = length >= start.max_length

        open_totals, chosen = ops.top_k(ops.where(ends, FORBIDDEN, totals), self.num_beams)
        opened = {
            "tokens": pick(candidates["tokens"], chosen),
            "totals": open_totals,
            "scores": pick(candidates["scores"], chosen),
        }
        if self.early_stopping:  # an end that no beam would have kept is none to stop for
            kept = ops.arange(totals.shape[1], dtype="int32") < self.num_beams
            ends = ops.logical_and(ends, kept)
        # At the full length all end, with an end token or not.
        ending = ops.logical_or(ends, ops.expand_dims(full, -1))
        ending = ops.logical_and(ending, ops.expand_dims(ops.logical_not(done), -1))
        ending = ops.logical_and(ending, totals > FORBIDDEN / 2)
        ranks = totals
        if self.length_penalty:
            ranks = totals / ops.expand_dims(self.penalty(length), -1)
        ranks = ops.concatenate([ended["ranks"], ops.where(ending, ranks, FORBIDDEN)], axis=1)
        ranks, best = ops.top_k(ranks, self.num_beams)
        ended = {
            "tokens": _best_of(ended["tokens"], candidates["tokens"], best),
            "ranks": ranks,
            "scores": _best_of(ended["scores"], candidates["scores"], best),
        }
        # A total sinks with every token, so an open sequence ranks at most its total by the kindest
        # penalty of the lengths that it may still get.
        bound = open_totals[:, 0]
        if self.length_penalty:
            kindest = ops.maximum(self.penalty(length + 1), self.penalty(start.max_length))
            bound = bound / kindest
        last = self.num_beams - 1 if self.return_all_beams else 0
        beaten = ops.logical_or(ranks[:, last] >= bound, open_totals[:, 0] < FORBIDDEN / 2)
        if self.early_stopping:
            beaten = ops.logical_or(beaten, ranks[:, -1] > FORBIDDEN / 2)
        done = ops.logical_or(done, ops.logical_or(full, beaten))
        return opened, ended, done, pick(candidates["of"], chosen)


def _best_of(old, new, index):
    return pick(ops.concatenate([old, new], axis=1), index)


def _take_rows(x, rows, batch):
    """`x[rows]`; a leaf that is the same for all rows, a position or the one row of a table, stays.

    `batch` is the static number of rows, or `None`.
    """
    shared = not len(x.shape) or (x.shape[0] == 1 and batch != 1)
    return x if shared else ops.take(x, rows, axis=0)
