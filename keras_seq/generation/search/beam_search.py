"""`BeamSampler`: the likeliest sequences by beam search."""

import keras
import numpy as np
from keras import ops

from keras_seq.generation._rows import pick
from keras_seq.generation.logits_processors._token_masks import FORBIDDEN
from keras_seq.generation.search._beam_loop import BeamSelection, beam_loop
from keras_seq.generation.search.search_strategy import SearchStrategy
from keras_seq.layers._arguments import check_positive, is_number

_PENALTIES = ("gnmt", "power")


@keras.saving.register_keras_serializable(package="keras_seq")
class BeamSampler(SearchStrategy):
    r"""Looks for the likeliest sequences by beam search with a length penalty.

    At each step the continuations of a row's `num_beams` open sequences are compared by their
    log-probability. Those among the best `num_beams` that end become hypotheses, of which the best
    `num_beams` are kept, ranked by

        score(Y) = log p(Y) / lp(Y)
        lp(Y) = ((5 + |Y|) / 6)^length_penalty    "gnmt" (Wu et al. 2016, equation 14)
        lp(Y) = |Y|^length_penalty                "power"

    where |Y| counts the new tokens, the end token included; the best `num_beams` that do not end
    stay open. This is the search of fairseq, CTranslate2 and transformers, so one beam is greedy
    search. Of equals the earlier beam and the lower id win.

    It is no function of one step, so it is passed to a `Generator` and not called. `scores` of what
    is generated stay log p(Y), without the penalty.

    What is kept can be changed by deriving and overriding `initial_totals`, `select` or `retain`.

    Args:
        num_beams: W, how many sequences of a row are kept open.
        return_all_beams: the same as `num_return_sequences=num_beams` (KerasHub's word).
        length_penalty: the exponent. 0 ranks by log-probability, which favors short sequences;
            larger values favor long ones. Others: Tensor2Tensor 0.6 with "gnmt"; transformers,
            fairseq and CTranslate2 1 with "power"; KerasHub has no penalty, 0.
        early_stopping: when a row is done, as in transformers. `False`: when it has `num_beams`
            hypotheses and the best open sequence, if it ended with its current log-probability and
            length, would rank below them all. `True`: as soon as it has `num_beams` hypotheses
            (fairseq, CTranslate2). `"never"`: when no open sequence can get among the sequences to
            return, however it goes on: a log-probability only sinks, and lp is bounded by
            `max_length`. The slowest, and the only one that loses nothing to stopping.
        length_penalty_kind: `"gnmt"` or `"power"`.
        num_return_sequences: `generate` returns the best n <= `num_beams` sequences of each row,
            best first: tokens (B, n, N) and scores (B, n), -inf (and no new tokens) where there are
            not that many. `None`: the best alone, (B, N) and (B,).

    Raises:
        ValueError: if an argument is out of range.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.seq2seq_rnn(30, 20, embedding_dim=8, units=16)
    sampler = keras_seq.generation.BeamSampler(num_beams=4, num_return_sequences=2)
    generator = keras_seq.generation.Generator(
        model, max_length=6, start_token=2, end_token=3, sampler=sampler
    )
    out = generator.generate(np.array([[5, 6, 7, 3]]))
    print(out.tokens.shape, out.scores.shape)  # (1, 2, 6) (1, 2)
    ```
    """

    def __init__(
        self,
        num_beams=5,
        return_all_beams=False,
        length_penalty=0.6,
        early_stopping=False,
        length_penalty_kind="gnmt",
        num_return_sequences=None,
    ):
        check_positive("BeamSampler", num_beams=num_beams)
        if not is_number(length_penalty):
            raise ValueError(
                "`length_penalty` of BeamSampler must be a finite number, the exponent. "
                f"Received: {length_penalty!r}"
            )
        if length_penalty_kind not in _PENALTIES:
            raise ValueError(
                f"`length_penalty_kind` of BeamSampler must be one of {_PENALTIES}. "
                f"Received: {length_penalty_kind!r}"
            )
        if not isinstance(return_all_beams, bool):
            raise ValueError(
                f"`return_all_beams` of BeamSampler must be a bool. Received: {return_all_beams!r}"
            )
        if not isinstance(early_stopping, bool) and early_stopping != "never":
            raise ValueError(
                "`early_stopping` of BeamSampler must be True, False or 'never'. "
                f"Received: {early_stopping!r}"
            )
        self.num_beams = num_beams
        self.return_all_beams = return_all_beams
        self.length_penalty = length_penalty
        self.early_stopping = early_stopping
        self.length_penalty_kind = length_penalty_kind
        self.num_return_sequences = self._checked_count(num_return_sequences)

    def _checked_count(self, count):
        if count is None:
            return self.num_beams if self.return_all_beams else None
        check_positive("BeamSampler", num_return_sequences=count)
        if count > self.num_beams or (self.return_all_beams and count != self.num_beams):
            raise ValueError(
                "`num_return_sequences` of BeamSampler must be at most "
                f"num_beams={self.num_beams}, and equal to it with `return_all_beams`. "
                f"Received: {count}"
            )
        return count

    def get_config(self):
        return {
            "num_beams": self.num_beams,
            "return_all_beams": self.return_all_beams,
            "length_penalty": self.length_penalty,
            "early_stopping": self.early_stopping,
            "length_penalty_kind": self.length_penalty_kind,
            "num_return_sequences": self.num_return_sequences,
        }

    def search(self, generator, start):
        return beam_loop(self, generator, start)

    def penalty(self, length):
        """lp of sequences of `length` tokens, an int or an int tensor."""
        length = ops.cast(ops.maximum(length, 1), "float32")
        if self.length_penalty_kind == "gnmt":
            length = (5.0 + length) / 6.0
        return length**self.length_penalty

    def initial_totals(self):
        """Hook: (W,) totals of a row's beams, which all hold the prompt, before the first step.

        By default 0 for the first and -1e9 for the others, so that not all of them go on alike.
        """
        return np.where(np.arange(self.num_beams) == 0, 0.0, FORBIDDEN).astype("float32")

    def select(self, totals, ends, max_ends):
        """Hook: the best continuations of the open sequences, and the best that do not end.

        An override may call it with some of the beams, `totals[:, a:b]` and `ends[:, a:b]`, and
        with changed totals; those that it returns are what the search goes by from then on.

        Args:
            totals: (B, W, V) float32: log-probability of each open sequence with each token after
                it, as the logits processors left it; below -1e9 / 2 where it must not be chosen.
            ends: (B, W, V) booleans: whether the sequence ends with that token.
            max_ends: static int, how many of a beam's V continuations end at most.

        Returns:
            `BeamSelection`.
        """
        beams, size = totals.shape[1:]
        values, index = ops.top_k(
            ops.reshape(totals, (-1, beams * size)), min(beams * (1 + max_ends), beams * size)
        )
        index = ops.cast(index, "int32")
        if not max_ends:
            return BeamSelection(values, index, values, index)
        ends = pick(ops.reshape(ops.cast(ends, "int32"), (-1, beams * size)), index) > 0
        open_values, place = ops.top_k(ops.where(ends, FORBIDDEN, values), beams)
        return BeamSelection(
            values[:, :beams], index[:, :beams], open_values, pick(index, ops.cast(place, "int32"))
        )

    def retain(self, ranks):
        """Hook: which hypotheses of a row stay.

        Args:
            ranks: (B, 2W) float32: score(Y) of the W hypotheses so far, and of the W best
                continuations in the order of `BeamSelection.best_index`; -1e9 where there is none.

        Returns:
            (B, W) int32 indices into the 2W.
        """
        return ops.cast(ops.top_k(ranks, self.num_beams)[1], "int32")
