"""The code points of Unicode, after the special ids."""

import keras
import keras_hub
import tensorflow as tf

from keras_seq.data.tokenizers._special_tokens import SPECIAL_TOKENS, UNKNOWN_ID
from keras_seq.data.tokenizers._text_tokenizer import TextTokenizer, lower

CACHED = False
FIRST = len(SPECIAL_TOKENS)
REPLACEMENT = 0xFFFD
SURROGATES = range(0xD800, 0xE000)


@keras.saving.register_keras_serializable(package="keras_seq")
class CodepointTokenizer(TextTokenizer, keras_hub.tokenizers.UnicodeCodepointTokenizer):
    """Code points of Unicode: character c has the id `ord(c) + 4`; nothing is learned.

    Args:
        vocabulary_size: One more than the greatest id; code points beyond are unknown. None means
            all of Unicode.
        lowercase: Whether text is converted to lower case first.
        add_end: Whether a text ends with the end id.

    Example:

    ```python
    from keras_seq.data import train_tokenizer

    tokenizer = train_tokenizer(["abc"], kind="codepoint")
    assert tokenizer(["ab"]) == [[ord("a") + 4, ord("b") + 4]]
    ```
    """

    kind = "codepoint"
    settings = ("vocabulary_size", "lowercase", "add_end")

    def __init__(self, vocabulary_size=None, lowercase=False, add_end=False, **kwargs):
        super().__init__(
            vocabulary_size=FIRST + 0x110000 if vocabulary_size is None else vocabulary_size,
            lowercase=lowercase,
            dtype="int32",
            **kwargs,
        )
        self.add_end = add_end

    def _encode(self, texts):
        ids = FIRST + tf.strings.unicode_decode(texts, "UTF-8")
        return tf.ragged.map_flat_values(
            lambda i: tf.where(i < self.vocabulary_size(), i, UNKNOWN_ID), ids
        )

    def _decode(self, ids):
        # KerasHub's leaves out the character 0.
        codes = tf.ragged.map_flat_values(
            lambda i: tf.where(i < FIRST, REPLACEMENT, i - FIRST), ids
        )
        return tf.strings.unicode_encode(codes, "UTF-8")

    def _token(self, id):
        code = id - FIRST
        return f"<U+{code:04X}>" if code in SURROGATES else chr(code)

    def _id(self, token):
        id = FIRST + ord(token) if len(token) == 1 else UNKNOWN_ID
        return id if id < self.vocabulary_size() else UNKNOWN_ID


TOKENIZER = CodepointTokenizer


def train(texts, kind, vocabulary_size, lowercase, add_end, progress):
    characters = set().union(*progress(texts))
    if lowercase:
        characters = set().union(*(lower(c).numpy().decode() for c in characters))
    greatest = max(characters)
    size = FIRST + ord(greatest) + 1
    if vocabulary_size < size:
        raise ValueError(
            f"`vocabulary_size` must be at least {size} for a codepoint tokenizer, as the texts "
            f"hold {greatest!r} (U+{ord(greatest):04X}), and {FIRST} tokens are special. "
            f"Received: {vocabulary_size}. Raise it, or take kind='character', which numbers only "
            "the characters that occur, or 'byte'."
        )
    return CodepointTokenizer(size, lowercase=lowercase, add_end=add_end)
