"""The logits processors of a `Generator`, one after the other."""

import numpy as np
from keras import ops

from keras_seq.generation.logits_processors._token_masks import FORBIDDEN
from keras_seq.generation.logits_processors.banned_tokens import BannedTokens
from keras_seq.generation.logits_processors.logits_processor import LogitsProcessor
from keras_seq.generation.logits_processors.min_length import MinLength
from keras_seq.generation.logits_processors.no_repeat_ngram import NoRepeatNgram
from keras_seq.generation.logits_processors.repetition_penalty import RepetitionPenalty


class LogitsProcessorChain:
    """Processors applied in their order; false where there are none.

    Args:
        processors: list of callables, see `LogitsProcessor`.

    Raises:
        ValueError: if one of them cannot be called.
    """

    def __init__(self, processors):
        self.processors = list(processors) if np.iterable(processors) else [processors]
        for processor in self.processors:
            if not callable(processor) or isinstance(processor, type):
                raise ValueError(
                    "`logits_processors` of Generator must be a list of callables "
                    "(scores, tokens, position, prompt_lengths) -> scores, such as "
                    f"keras_seq.generation.NoRepeatNgram(3). Received: {processor!r}"
                )
        self.min_length = max((getattr(p, "min_length", 0) for p in self.processors), default=0)

    def __bool__(self):
        return bool(self.processors)

    def __call__(self, scores, tokens, position, prompt_lengths):
        size = scores.shape[-1]
        for processor in self.processors:
            scores = ops.convert_to_tensor(processor(scores, tokens, position, prompt_lengths))
            if len(scores.shape) != 2 or scores.shape[-1] != size:
                raise ValueError(
                    f"The logits processor {_name(processor)} must return scores of shape "
                    f"(B, V) = (B, {size}). Received: shape {tuple(scores.shape)}"
                )
            scores = ops.cast(scores, "float32")
        return ops.maximum(scores, FORBIDDEN)  # -inf becomes a number, which can be summed

    def check(self, generator):
        """Ask every processor whether it fits the generator; at least one token must be left.

        Raises:
            ValueError: see `Generator`.
        """
        forbidden = set()
        for processor in self.processors:
            if isinstance(processor, LogitsProcessor):
                processor.check(generator)
            if isinstance(processor, BannedTokens):
                forbidden.update(processor.banned_tokens)
            elif isinstance(processor, MinLength):
                forbidden.update(processor.end_tokens)
        if len(forbidden) == generator.vocabulary_size:
            raise ValueError(
                "`banned_tokens` must leave at least one token that is no end token held back by "
                f"`min_length`. Received: all of the model's {len(forbidden)} tokens"
            )


def make_chain(
    logits_processors, end_tokens, min_length, banned_tokens, repetition_penalty, no_repeat_ngram
):
    """The chain of what a `Generator`'s arguments ask for, in transformers' order, the list last.

    Args:
        logits_processors: see `Generator`, as `min_length`, `banned_tokens`, `repetition_penalty`
            and `no_repeat_ngram` (its `no_repeat_ngram_size`).
        end_tokens: list of ids.

    Raises:
        ValueError: if an argument is out of range.
    """
    processors = []
    if _is_given(repetition_penalty, 1):
        processors.append(RepetitionPenalty(repetition_penalty))
    if _is_given(no_repeat_ngram, 0):
        processors.append(NoRepeatNgram(no_repeat_ngram))
    if np.size(banned_tokens):
        processors.append(BannedTokens(banned_tokens))
    if _is_given(min_length, 0):
        processors.append(MinLength(min_length, end_tokens))
    return LogitsProcessorChain([*processors, *LogitsProcessorChain(logits_processors).processors])


def _is_given(value, default):
    """Whether `value` is another one than the default that asks for nothing."""
    return isinstance(value, bool) or value is None or value != default


def _name(processor):
    return getattr(processor, "__name__", type(processor).__name__)
