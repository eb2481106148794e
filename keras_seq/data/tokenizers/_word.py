"""Whole words, the most frequent ones: the vocabulary of word-level language models."""

import collections

import keras
import keras_hub
import tensorflow as tf

from keras_seq.data.tokenizers._special_tokens import (
    END_ID,
    PAD_ID,
    SPECIAL_TOKENS,
    START_ID,
    UNKNOWN_ID,
)
from keras_seq.data.tokenizers._text_tokenizer import lower
from keras_seq.data.tokenizers._vocabulary import VocabularyTokenizer
from keras_seq.data.tokenizers._whitespace import WHITESPACE

CACHED = True


@keras.saving.register_keras_serializable(package="keras_seq")
class WordTokenizer(VocabularyTokenizer, keras_hub.tokenizers.Tokenizer):
    """Words between white space, each a token, or the unknown one; made by `train_tokenizer`.

    Args:
        vocabulary: List of words; the first four are the special tokens.
        lowercase: Whether text is converted to lower case first.
        add_end: Whether a text ends with the end id.

    Example:

    ```python
    from keras_seq.data import train_tokenizer

    tokenizer = train_tokenizer(["to be or not to be"], kind="word", vocabulary_size=6)
    assert tokenizer.get_vocabulary()[4:] == ["be", "to"]
    assert tokenizer.detokenize(tokenizer("to be here")) == "to be <unk>"
    ```
    """

    kind = "word"

    def __init__(self, vocabulary=None, lowercase=False, add_end=False, **kwargs):
        super().__init__(dtype="int32", **kwargs)
        self.lowercase = lowercase
        self.add_end = add_end
        self.set_vocabulary(vocabulary)
        self.file_assets = ["vocabulary.json"]

    def _prepare(self):
        # A text that says "<s>" must not start anew: of the special tokens, the unknown one alone
        # is a word.
        words = {
            token: id for token, id in self._ids.items() if id not in (PAD_ID, START_ID, END_ID)
        }
        with tf.init_scope(), tf.device("cpu"):
            self._table = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(
                    list(words), list(words.values()), "string", "int32"
                ),
                UNKNOWN_ID,
            )
            self._tokens = tf.constant(self.vocabulary)

    def _encode(self, texts):
        return tf.ragged.map_flat_values(self._table.lookup, split_words(texts))

    def _decode(self, ids):
        return tf.strings.reduce_join(tf.gather(self._tokens, ids), separator=" ", axis=-1)


TOKENIZER = WordTokenizer


def split_words(texts):
    """(B,) strings to ragged (B, words), each split as `str.split` does."""
    return tf.strings.split(tf.strings.regex_replace(texts, WHITESPACE, " "))


def train(texts, kind, vocabulary_size, lowercase, add_end, progress):
    if vocabulary_size <= len(SPECIAL_TOKENS):
        raise ValueError(
            f"`vocabulary_size` must be at least {len(SPECIAL_TOKENS) + 1} for a word tokenizer, "
            f"as {len(SPECIAL_TOKENS)} tokens are special. Received: {vocabulary_size}"
        )
    counts = collections.Counter()
    for text in progress(texts):
        counts.update(text.split())
    if lowercase:
        counts = _lower_words(counts)
    for token in SPECIAL_TOKENS:
        counts.pop(token, None)
    most_frequent = sorted(counts, key=lambda word: (-counts[word], word))
    return WordTokenizer(
        [*SPECIAL_TOKENS, *most_frequent[: vocabulary_size - len(SPECIAL_TOKENS)]],
        lowercase=lowercase,
        add_end=add_end,
    )


def _lower_words(counts):
    lowered = collections.Counter()
    words = lower(tf.constant(list(counts), "string")).numpy()
    for word, count in zip(words, counts.values(), strict=True):
        lowered[word.decode()] += count
    return lowered
