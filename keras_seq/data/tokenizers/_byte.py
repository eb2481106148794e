"""The bytes of UTF-8, after the special ids."""

import keras
import keras_hub
import tensorflow as tf

from keras_seq.data.tokenizers._special_tokens import SPECIAL_TOKENS, UNKNOWN_ID
from keras_seq.data.tokenizers._text_tokenizer import TextTokenizer

CACHED = False
FIRST = len(SPECIAL_TOKENS)
SIZE = FIRST + 256


@keras.saving.register_keras_serializable(package="keras_seq")
class ByteTokenizer(TextTokenizer, keras_hub.tokenizers.ByteTokenizer):
    """Bytes of UTF-8: byte b has the id b + 4; nothing is unknown, nothing is learned.

    Ids that are no valid UTF-8 together become U+FFFD in `detokenize`.

    Args:
        lowercase: Whether text is converted to lower case first.
        add_end: Whether a text ends with the end id.

    Example:

    ```python
    from keras_seq.data import train_tokenizer

    tokenizer = train_tokenizer(["any text"], kind="byte")
    assert tokenizer(["é"]) == [[0xC3 + 4, 0xA9 + 4]]
    ```
    """

    kind = "byte"

    def __init__(self, lowercase=False, add_end=False, **kwargs):
        super().__init__(lowercase=lowercase, dtype="int32", **kwargs)
        self.add_end = add_end
        with tf.init_scope(), tf.device("cpu"):
            special = ["", "\ufffd", "", ""]
            self._bytes = tf.constant([*special, *(bytes([b]) for b in range(256))])

    def _encode(self, texts):
        return FIRST + tf.ragged.map_flat_values(_byte_values, tf.strings.bytes_split(texts))

    def _decode(self, ids):
        # KerasHub's leaves out the byte 0.
        joined = tf.strings.reduce_join(tf.gather(self._bytes, ids), axis=-1)
        return tf.strings.unicode_transcode(joined, "UTF-8", "UTF-8")

    def vocabulary_size(self):
        """260: the special tokens and 256 bytes."""
        return SIZE

    def _token(self, id):
        character = chr(id - FIRST)
        printable = character.isascii() and character.isprintable()
        return character if printable else f"<0x{id - FIRST:02X}>"

    def _id(self, token):
        tokens = self.get_vocabulary()
        return tokens.index(token) if token in tokens else UNKNOWN_ID


TOKENIZER = ByteTokenizer


def _byte_values(characters):
    return tf.cast(tf.reshape(tf.io.decode_raw(characters, "uint8"), [-1]), "int32")


def train(texts, kind, vocabulary_size, lowercase, add_end, progress):
    if vocabulary_size < SIZE:
        raise ValueError(
            f"`vocabulary_size` must be at least {SIZE} for a byte tokenizer: 256 bytes and "
            f"{FIRST} special tokens. Received: {vocabulary_size}"
        )
    return ByteTokenizer(lowercase=lowercase, add_end=add_end)
