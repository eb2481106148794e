"""Tokenizers of seven kinds, trained on the user's texts, with the same special ids.

The classes are imported when they are first asked for, as KerasHub takes seconds to import.
"""

import importlib

from keras_seq.data.tokenizers._saving import load_tokenizer
from keras_seq.data.tokenizers._special_tokens import (
    END_ID,
    PAD_ID,
    SPECIAL_TOKENS,
    START_ID,
    UNKNOWN_ID,
)
from keras_seq.data.tokenizers._train import train_tokenizer

_CLASSES = {
    "ByteTokenizer": "_byte",
    "CodepointTokenizer": "_codepoint",
    "SentencePieceTokenizer": "_sentencepiece",
    "WordPieceTokenizer": "_wordpiece",
    "WordTokenizer": "_word",
}

__all__ = [
    "END_ID",
    "PAD_ID",
    "SPECIAL_TOKENS",
    "START_ID",
    "UNKNOWN_ID",
    "load_tokenizer",
    "train_tokenizer",
]


def __getattr__(name):
    if name not in _CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_CLASSES[name]}"), name)


def __dir__():
    return sorted([*__all__, *_CLASSES])
