"""Tokenizers trained on the user's own texts: pieces of words, or characters."""

import io
import os
import sys
import tempfile

PAD_ID, UNKNOWN_ID, START_ID, END_ID = 0, 1, 2, 3
SPECIAL_PIECES = ("<pad>", "<unk>", "<s>", "</s>")
_MODEL_TYPES = {"subword": "unigram", "character": "char"}


def train_tokenizer(texts, kind="subword", vocabulary_size=8000, lowercase=False, add_end=False):
    """Trains a SentencePiece tokenizer on texts.

    The same texts give the same tokenizer. The ids of the special pieces are fixed: padding 0,
    unknown 1, start `<s>` 2, end `</s>` 3. Text is taken as it is, without Unicode
    normalization and with all its spaces, so `detokenize(tokenize(text)) == text` for any text
    whose characters occur in `texts` (exceptions: U+2581, SentencePiece's sign for a space,
    becomes a space, and the written names of special pieces, such as a literal "<s>", may become
    unknown; KerasHub before 0.26, the last for Python 3.10, loses the leading spaces of a subword
    text). A composed and a decomposed accent are different characters: normalize such texts
    alike beforehand. A character that `texts` lack becomes the unknown id and detokenizes to " ⁇ ".

    `detokenize` leaves out padding, start and end ids, but does not stop at the end id: cut
    what comes after it first.

    Args:
        texts: Iterable of `str`.
        kind: `"subword"`, a unigram language model over pieces of words (Kudo 2018), or
            `"character"`.
        vocabulary_size: The greatest number of pieces, special ones included. A corpus that does
            not support as many gets fewer; characters take what their count decides.
        lowercase: Whether the tokenizer itself converts text to lower case, character by
            character (`"ß"` stays, unlike in case folding).
        add_end: Whether `tokenizer(text)` ends with the end id.

    Returns:
        A `keras_hub.tokenizers.SentencePieceTokenizer`, which also works in
        `tf.data.Dataset.map` and saves in a `.keras` file. For a batch of B texts it gives a
        ragged int32 tensor (B, T).

    Raises:
        TypeError: If `texts` is one string, or holds something else than strings.
        ValueError: If `texts` has no characters, `kind` is unknown, or `vocabulary_size` does
            not even hold each distinct character once.
        ImportError: If sentencepiece or KerasHub is missing.

    References:
        - [Kudo, 2018](https://arxiv.org/abs/1804.10959)

    Example:

    ```python
    from keras_seq.data import train_tokenizer

    tokenizer = train_tokenizer(["아침 햇살", "아침 식사"], kind="character")
    ids = tokenizer(["아침 햇살"])
    assert tokenizer.detokenize(ids) == ["아침 햇살"]
    ```
    """
    if kind not in _MODEL_TYPES:
        raise ValueError(f"`kind` must be one of {sorted(_MODEL_TYPES)}. Received: {kind!r}")
    texts = _check_texts(texts, lowercase)
    _check_vocabulary_size(vocabulary_size, texts, kind)
    sentencepiece, keras_hub = _import_libraries()
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type=_MODEL_TYPES[kind],
            normalization_rule_tsv=_write_rules(folder, lowercase),
            vocab_size=vocabulary_size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            # A space put before the text lets "cat" share its piece with " cat"; characters
            # have nothing to share.
            add_dummy_prefix=kind == "subword",
            remove_extra_whitespaces=False,
            # Longer texts would be left out, and with them their characters.
            max_sentence_length=max(len(text.encode("utf-8")) for text in texts) + 10,
            pad_id=PAD_ID,
            unk_id=UNKNOWN_ID,
            bos_id=START_ID,
            eos_id=END_ID,
            num_threads=1,  # sums in another order could give other pieces
            minloglevel=2,
        )
    return keras_hub.tokenizers.SentencePieceTokenizer(
        proto=_without_paths(model.getvalue()), add_eos=add_end, dtype="int32"
    )


def _check_texts(texts, lowercase):
    if isinstance(texts, (str, bytes)):
        raise TypeError(
            f"`texts` must be an iterable of str. Received: one {type(texts).__name__}. "
            "Put it in a list."
        )
    texts = list(texts)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"`texts` must hold str. Received: {type(text).__name__} at position {i}. "
                "Decode bytes and tensors first, for example with keras_seq.data.pairs."
            )
    texts = [_lower(text) if lowercase else text for text in texts if text]
    if not texts:
        raise ValueError("`texts` must hold a text that is not empty. Received: none")
    return texts


def _check_vocabulary_size(size, texts, kind):
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"`vocabulary_size` must be an int. Received: {size!r}")
    characters = {c for text in texts for c in text} - {"\u2581"} | {" "}
    least = len(characters) + len(SPECIAL_PIECES)
    if size < least:
        raise ValueError(
            f"`vocabulary_size` must be at least {least} for a {kind} tokenizer, as the texts have "
            f"{len(characters)} distinct characters, and {len(SPECIAL_PIECES)} pieces are special. "
            f"Received: {size}. Raise it, or clean the texts of rare characters."
        )


def _import_libraries():
    try:
        import keras_hub
        import sentencepiece
    except ImportError as error:
        raise ImportError(
            "train_tokenizer needs sentencepiece and KerasHub: pip install 'keras_seq[data]'"
        ) from error
    return sentencepiece, keras_hub


def _lower(text):
    # Character by character as the tokenizer does it: str.lower() looks at the context of Σ.
    return "".join(c.lower() for c in text)


def _without_paths(proto):
    """Clears the path of the table of replacements: it differs from run to run.

    Works on the bytes: the classes that come with SentencePiece refuse protobuf older than theirs,
    and on Python 3.10 tensorflow-metadata keeps protobuf at 6.32.
    """
    model = b""
    for field, tag, value in _fields(proto):
        if field == 3:  # normalizer_spec
            spec = b"".join(t + v for f, t, v in _fields(_payload(value)) if f != 6)
            value = _varint(len(spec)) + spec
        model += tag + value
    return model


def _fields(message):
    """Yields (number, bytes of the tag, bytes of the value) of a protobuf message."""
    at = 0
    while at < len(message):
        tag, start = _read_varint(message, at)
        kind = tag & 7
        if kind == 0:
            end = _read_varint(message, start)[1]
        elif kind == 2:
            length, end = _read_varint(message, start)
            end += length
        else:
            end = start + {1: 8, 5: 4}[kind]
        yield tag >> 3, message[at:start], message[start:end]
        at = end


def _payload(value):
    return value[_read_varint(value, 0)[1] :]


def _read_varint(message, at):
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


def _varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _write_rules(folder, lowercase):
    """Writes SentencePiece's table of replacements: code points in hex, tab, code points."""
    path = os.path.join(folder, "rules.tsv")
    with open(path, "w", encoding="ascii") as file:
        # SentencePiece treats its sign for a space as one anyway. Saying so keeps the table from
        # being empty, which it would remark on in the terminal at every load.
        file.write("2581\t20\n")
        for code in range(sys.maxunicode + 1) if lowercase else ():
            lower = chr(code).lower()
            if lower != chr(code):
                file.write(f"{code:X}\t{' '.join(f'{ord(c):X}' for c in lower)}\n")
    return path
