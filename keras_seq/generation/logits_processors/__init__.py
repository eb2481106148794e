"""Logits processors change what the next token is chosen from."""

from keras_seq.generation.logits_processors.banned_tokens import BannedTokens
from keras_seq.generation.logits_processors.logits_processor import LogitsProcessor
from keras_seq.generation.logits_processors.min_length import MinLength
from keras_seq.generation.logits_processors.no_repeat_ngram import NoRepeatNgram
from keras_seq.generation.logits_processors.repetition_penalty import RepetitionPenalty

__all__ = ["BannedTokens", "LogitsProcessor", "MinLength", "NoRepeatNgram", "RepetitionPenalty"]
