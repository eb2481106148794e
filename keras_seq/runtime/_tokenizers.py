"""The tokenizers of `keras_seq.data.train_tokenizer` in plain Python, from the files of `save`.

They give the ids and texts of those that they were saved from.
"""

import json
import unicodedata

PAD, UNKNOWN, START, END = range(4)
_SPECIAL = 4  # ids before those of tokens
_SUFFIX = "##"
_SPACE, _WRITTEN_UNKNOWN = "\u2581", " \u2047 "  # SentencePiece's
# As BERT has them.
_CHINESE = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def load_tokenizer(files, folder):
    """The tokenizer whose files have names that begin with `folder/`.

    Args:
        files: dict from name to bytes.
        folder: string.

    Raises:
        ValueError: if its kind is unknown here.
        ImportError: if it needs sentencepiece, and that is missing.
    """
    description = json.loads(files[f"{folder}/tokenizer.json"])
    kind = description["kind"]
    if kind not in _KINDS:
        raise ValueError(f"The file's tokenizer must be one of {sorted(_KINDS)}. Received: {kind}")
    contents = {name: files[f"{folder}/{name}"] for name in description["files"]}
    return _KINDS[kind](contents, **description["settings"])


class _Tokenizer:
    """Texts to lists of ids, and back."""

    def __init__(self, files, add_end=False, lowercase=False, **settings):
        self.add_end, self.lowercase = add_end, lowercase

    def __call__(self, text):
        """The ids of a string."""
        text = self.lower(text) if self.lowercase else text
        return [*self.encode(text), *([END] if self.add_end else [])]

    def detokenize(self, ids):
        """The text of ids, without padding, start and end."""
        return self.decode([int(i) for i in ids if i not in (PAD, START, END)])

    def lower(self, text):
        """As TensorFlow's operator, which ends at the character 0."""
        return _lower(text.partition("\0")[0])


def _lower(text):
    # Character by character: `str.lower` of a whole text looks at what surrounds a Σ.
    return "".join(character.lower() for character in text)


class _Bytes(_Tokenizer):
    def encode(self, text):
        return [_SPECIAL + byte for byte in text.encode()]

    def decode(self, ids):
        parts = (b"\xef\xbf\xbd" if i < _SPECIAL else bytes([i - _SPECIAL]) for i in ids)
        return b"".join(parts).decode(errors="replace")


class _Codepoints(_Tokenizer):
    def __init__(self, files, vocabulary_size, **settings):
        super().__init__(files, **settings)
        self.size = vocabulary_size

    def encode(self, text):
        ids = (_SPECIAL + ord(character) for character in text)
        return [i if i < self.size else UNKNOWN for i in ids]

    def decode(self, ids):
        codes = (0xFFFD if i < _SPECIAL else i - _SPECIAL for i in ids)
        return "".join("\ufffd" if 0xD800 <= code < 0xE000 else chr(code) for code in codes)


class _Vocabulary(_Tokenizer):
    """A tokenizer with a list of tokens."""

    def __init__(self, files, **settings):
        super().__init__(files, **settings)
        self.tokens = json.loads(files["vocabulary.json"])
        self.ids = {token: i for i, token in enumerate(self.tokens)}


class _Words(_Vocabulary):
    def encode(self, text):
        ids = (self.ids.get(word, UNKNOWN) for word in text.split())
        return [UNKNOWN if i in (PAD, START, END) else i for i in ids]

    def decode(self, ids):
        return " ".join(self.tokens[i] for i in ids)


class _WordPieces(_Words):
    """The longest piece that fits, again and again (Schuster & Nakajima 2012)."""

    def encode(self, text):
        return [i for word in _bert_words(text.replace("\0", " ")) for i in self._pieces(word)]

    def _pieces(self, word):
        ids, begin = [], 0
        while begin < len(word):
            prefix = _SUFFIX if begin else ""
            for end in range(len(word), begin, -1):
                found = self.ids.get(prefix + word[begin:end])
                if found is not None:
                    break
            else:
                return [UNKNOWN]
            ids.append(found)
            begin = end
        return ids

    def decode(self, ids):
        text = ""
        for i in ids:
            piece = self.tokens[i]
            inside = piece.startswith(_SUFFIX) and text
            text += piece[len(_SUFFIX) :] if inside else f"{' ' if text else ''}{piece}"
        return text


def _bert_words(text):
    """Words between white space; punctuation and Chinese characters are words of their own."""
    for part in text.split():
        word = ""
        for character in part:
            if _stands_alone(character):
                yield from ([word] if word else [])
                yield character
                word = ""
            else:
                word += character
        yield from ([word] if word else [])


def _stands_alone(character):
    code = ord(character)
    if code < 128:
        return not character.isalnum() and 32 < code < 127
    if unicodedata.category(character).startswith("P"):
        return True
    return any(first <= code <= last for first, last in _CHINESE)


class _SentencePiece(_Tokenizer):
    """Pieces that SentencePiece finds, by its own package."""

    def __init__(self, files, **settings):
        super().__init__(files, **settings)
        try:
            import sentencepiece
        except ImportError as error:
            raise ImportError(
                "The file's tokenizer is of SentencePiece: pip install sentencepiece"
            ) from error
        self._model = sentencepiece.SentencePieceProcessor(model_proto=files["vocabulary.spm"])

    def encode(self, text):
        return self._model.encode(text)

    def decode(self, ids):
        return self._model.decode(ids)


class _Characters(_Vocabulary):
    """The characters of a vocabulary, SentencePiece's sign for a space among them."""

    def lower(self, text):
        return _lower(text)

    def encode(self, text):
        ids = []
        for character in text:
            i = self.ids.get(_SPACE if character == " " else character, UNKNOWN)
            if i != UNKNOWN or ids[-1:] != [UNKNOWN]:  # of unknown characters in a row the first
                ids.append(i)
        return ids

    def decode(self, ids):
        return "".join(_WRITTEN_UNKNOWN if i == UNKNOWN else self.tokens[i] for i in ids).replace(
            _SPACE, " "
        )


_KINDS = {
    "bpe": _SentencePiece,
    "byte": _Bytes,
    "character": _Characters,
    "codepoint": _Codepoints,
    "subword": _SentencePiece,
    "word": _Words,
    "wordpiece": _WordPieces,
}
