"""WordPiece: pieces of words, the longest that fits first."""

import itertools

import keras
import keras_hub
import tensorflow as tf
import tensorflow_text

from keras_seq.data._pipeline import without_autotuning
from keras_seq.data.tokenizers._special_tokens import SPECIAL_TOKENS, UNKNOWN_ID
from keras_seq.data.tokenizers._text_tokenizer import lower
from keras_seq.data.tokenizers._vocabulary import VocabularyTokenizer
from keras_seq.data.tokenizers._whitespace import WHITESPACE

CACHED = True
SUFFIX = "##"
# Punctuation, ASCII symbols, and Chinese characters (also those of Japanese and Korean), as in
# BERT: each is a word.
SINGLES = (
    r"[!-/:-@\[-`{-~\p{P}\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}"
    r"\x{2B740}-\x{2B81F}\x{2B820}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]"
)


@keras.saving.register_keras_serializable(package="keras_seq")
class WordPieceTokenizer(VocabularyTokenizer, keras_hub.tokenizers.WordPieceTokenizer):
    """Pieces of words (Schuster & Nakajima 2012), as in BERT; made by `train_tokenizer`.

    A text is split at white space and around punctuation and Chinese characters. Unlike
    KerasHub's, this one keeps joiners and other invisible characters, and long words.

    Args:
        vocabulary: List of pieces, those inside a word with "##" before them; the first four are
            the special tokens.
        lowercase: Whether text is converted to lower case first.
        add_end: Whether a text ends with the end id.

    Example:

    ```python
    from keras_seq.data import train_tokenizer

    tokenizer = train_tokenizer(["sing singing"] * 10, kind="wordpiece")
    assert tokenizer.detokenize(tokenizer(["singing, sing"])) == ["singing <unk> sing"]
    ```
    """

    kind = "wordpiece"

    def __init__(self, vocabulary=None, lowercase=False, add_end=False, **kwargs):
        super().__init__(
            vocabulary=vocabulary,
            lowercase=lowercase,
            suffix_indicator=SUFFIX,
            oov_token=SPECIAL_TOKENS[UNKNOWN_ID],
            dtype="int32",
            **kwargs,
        )
        self.add_end = add_end
        self.file_assets = ["vocabulary.json"]

    def _prepare(self):
        with tf.init_scope(), tf.device("cpu"):
            self._pieces = tensorflow_text.FastWordpieceTokenizer(
                self.vocabulary,
                suffix_indicator=SUFFIX,
                max_bytes_per_word=2**30,
                token_out_type=tf.int32,
                unknown_token=SPECIAL_TOKENS[UNKNOWN_ID],
                no_pretokenization=True,
                support_detokenization=True,
            )

    def _encode(self, texts):
        return self._pieces.tokenize(split_words(texts)).merge_dims(-2, -1)

    def _decode(self, ids):
        return self._pieces.detokenize(ids)


TOKENIZER = WordPieceTokenizer


def split_words(texts):
    """(B,) strings to ragged (B, words)."""
    texts = tf.strings.regex_replace(texts, r"\x00", " ")  # it would end a text or a piece
    return tensorflow_text.regex_split(texts, f"{WHITESPACE}|{SINGLES}", SINGLES)


def train(texts, kind, vocabulary_size, lowercase, add_end, progress):
    batches = list(_batches_of_words(progress(texts), lowercase))
    characters = _characters(word.decode() for word in set().union(*batches))
    least = len(SPECIAL_TOKENS) + len(characters)
    if vocabulary_size < least:
        raise ValueError(
            f"`vocabulary_size` must be at least {least} for a wordpiece tokenizer, as the words "
            f"of the texts have {len(characters)} distinct characters (at the beginning and inside "
            f"count apart), and {len(SPECIAL_TOKENS)} tokens are special. Received: "
            f"{vocabulary_size}. Raise it, or clean the texts of rare characters."
        )
    learned = []
    if characters:
        learned = keras_hub.tokenizers.compute_word_piece_vocabulary(
            _dataset(batches),
            vocabulary_size,
            split=False,
            suffix_indicator=SUFFIX,
            reserved_tokens=list(SPECIAL_TOKENS),
        )
    # Its alphabet ends at the 1,000th character; here each one that occurs has a piece.
    vocabulary = dict.fromkeys([*SPECIAL_TOKENS, *sorted(characters), *learned])
    return WordPieceTokenizer(
        list(vocabulary)[:vocabulary_size], lowercase=lowercase, add_end=add_end
    )


def _batches_of_words(texts, lowercase):
    texts = iter(texts)
    while batch := list(itertools.islice(texts, 1024)):
        with tf.device("cpu"):
            batch = tf.constant(batch)
            yield split_words(lower(batch) if lowercase else batch).flat_values.numpy()


def _dataset(batches):
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(batches), output_signature=tf.TensorSpec([None], "string")
    )
    return without_autotuning(dataset)


def _characters(words):
    """The pieces of one character that words are made of."""
    characters = set()
    for word in words:
        characters.update([word[0], *(SUFFIX + c for c in word[1:])])
    return characters
