"""A tokenizer of each kind, trained once a run of pytest."""

import functools

import pytest

from keras_seq.data import train_tokenizer

TEXTS = [
    "아침 햇살이 창문에 비친다",
    "3. März 2021 in der Straße, links",
    "2021年3月3日(水)",
    "family 👩‍👩‍👧 thumb 👍🏽 flag 🇰🇷",
    "decomposed: e\u0301 u\u0308 \u1112\u1161\u11ab",
    "שלום \u200fعالم مرحبا",
    "  two  leading spaces",
    "trailing ",
    "tab\there",
]
KINDS = ("bpe", "byte", "character", "codepoint", "subword", "word", "wordpiece")


@functools.cache
def trained(kind, **options):
    return train_tokenizer(TEXTS, kind, vocabulary_size=200_000, cache=False, **options)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param
