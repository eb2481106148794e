"""The tokenizers of the runtime give what those give that they were saved from."""

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sentencepiece")

from keras_seq.data import train_tokenizer
from keras_seq.export._tokenizer_files import tokenizer_files
from keras_seq.runtime._tokenizers import load_tokenizer

TEXTS = [
    "The cat sat, on the mat; don't walk-walk!",
    "아침 햇살 日本語 Σίσυφος İstanbul ß é e\u0301 «¿» 🙂 a\u3000b\u2028c",
    "walking walked walks ## a##b <s> __",
]
KINDS = ("byte", "codepoint", "word", "wordpiece", "character", "subword", "bpe")
CHARACTERS = sorted({*"".join(TEXTS), *"ABÉДЖq \t\n\x1c\x85\u200d\u0966𝔘𠀀"})


@functools.cache
def pair(kind, lowercase):
    """A trained tokenizer, and that of the runtime from its files."""
    size = 150_000 if kind == "codepoint" else 300
    options = {"kind": kind, "vocabulary_size": size, "lowercase": lowercase}
    trained = train_tokenizer(TEXTS * 3, add_end=lowercase, cache=False, **options)
    return trained, load_tokenizer(tokenizer_files("source", trained), "source")


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(text=st.text(st.sampled_from(CHARACTERS), max_size=30))
def test_ids_are_those_of_the_tokenizer_that_was_saved(kind, lowercase, text):
    trained, read = pair(kind, lowercase)
    assert read(text) == list(map(int, trained([text])[0]))


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(data=st.data())
def test_texts_of_any_ids_are_those_of_the_tokenizer_that_was_saved(kind, data):
    trained, read = pair(kind, True)
    ids = st.integers(0, trained.vocabulary_size() - 1)
    ids = data.draw(st.lists(ids, min_size=1, max_size=12))
    assert read.detokenize(ids) == trained.detokenize(ids)


@pytest.mark.parametrize("kind", KINDS)
def test_the_character_0_is_read_as_by_the_tokenizer_that_was_saved(kind):
    for lowercase in (False, True):
        trained, read = pair(kind, lowercase)
        assert read("a\0b") == list(map(int, trained(["a\0b"])[0]))


def test_a_tokenizer_of_another_maker_is_refused_by_name():
    class Other:
        pass

    with pytest.raises(TypeError, match=r"`source_tokenizer` must be .*train_tokenizer.*Other"):
        tokenizer_files("source_tokenizer", Other())
