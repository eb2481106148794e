"""`train_tokenizer`: texts to a tokenizer of any kind."""

from keras_seq.data._progress import check_verbose, progress_bar
from keras_seq.data.tokenizers._cache import cached, check_cache
from keras_seq.data.tokenizers._kinds import check_kind, kind_module


def train_tokenizer(
    texts,
    kind="subword",
    vocabulary_size=8000,
    lowercase=False,
    add_end=False,
    *,
    cache=True,
    verbose="auto",
):
    """Trains a tokenizer on texts.

    The same texts give the same tokenizer. The ids of the special tokens are fixed in every kind:
    padding `<pad>` 0, unknown `<unk>` 1, start `<s>` 2, end `</s>` 3. Train on the training split
    alone.

    | kind | tokens | `detokenize(tokenize(text))` is |
    |---|---|---|
    | `"subword"` | pieces of words, a unigram language model (Kudo 2018) | the text |
    | `"bpe"` | pieces of words, byte-pair merges (Sennrich et al. 2016) | the text |
    | `"character"` | the characters of `texts` | the text |
    | `"wordpiece"` | pieces of words, as in BERT (Schuster & Nakajima 2012) | its words and punctuation marks, with single spaces between |
    | `"word"` | words between white space, the most frequent ones | `" ".join(text.split())` |
    | `"byte"` | bytes of UTF-8 | the text |
    | `"codepoint"` | code points of Unicode | the text |

    That holds for texts whose characters (of `"word"`: whose words) occur in `texts`, and for
    bytes always: the rest is the unknown id, which detokenizes to " ⁇ ", `<unk>` (word,
    wordpiece) or U+FFFD (codepoint). No kind normalizes Unicode: a composed and a decomposed
    accent are different characters, so normalize such texts alike beforehand. In the three kinds
    of SentencePiece (subword, bpe, character), its sign for a space, U+2581, becomes a space, the
    characters 0, U+001F and U+2585, which it keeps for itself, and the written name of a special token, such as a literal "<s>", may become
    unknown, and KerasHub before 0.26, the last for Python 3.10, loses the leading spaces of a
    subword or bpe text (so do all versions in a graph). In the others a literal "<s>" is text like
    any other, but to `"word"` it is unknown; to `"wordpiece"` the character 0 is white space.

    `detokenize` leaves out padding, start and end ids, but does not stop at the end id: cut
    what comes after it first.

    Args:
        texts: Iterable of `str`.
        kind: The kind, a name of the table.
        vocabulary_size: The greatest number of tokens, special ones included. A corpus that does
            not support as many gets fewer; characters, bytes (260) and code points (up to the
            greatest that occurs) take what they need.
        lowercase: Whether the tokenizer itself converts text to lower case, character by
            character (`"ß"` stays, unlike in case folding).
        add_end: Whether `tokenizer(text)` ends with the end id.
        cache: Where a tokenizer is kept, to be loaded when the same kind is trained on the same
            texts with the same arguments and versions of the libraries. True means
            `~/.keras/keras_seq/tokenizers` (or that folder of `KERAS_HOME`), False nowhere;
            else a folder. Bytes and code points have nothing to keep.
        verbose: 1 shows a progress bar, 0 none; `"auto"` shows it in a terminal, unless
            `keras.config.disable_interactive_logging()` was called.

    Returns:
        A tokenizer, a subclass of KerasHub's, which also works in `tf.data.Dataset.map`. For a
        batch of B texts it gives there a ragged int32 tensor (B, T), otherwise B lists of ids.
        `tokenizer.save(path)` writes it to a folder, which `load_tokenizer` reads. Its config
        holds its vocabulary, so it is saved in a `.keras` file, too (before that is loaded, import
        its class from `keras_seq.data.tokenizers`).

    Raises:
        TypeError: If `texts` is one string, or holds something else than strings.
        ValueError: If `texts` has no characters, or ones that UTF-8 cannot write; `kind` is
            unknown; or `vocabulary_size` does not even hold the special tokens and each distinct
            character once (for `"word"` one word; for `"codepoint"` the greatest code point).
        ImportError: If sentencepiece or KerasHub is missing.

    References:
        - [Kudo, 2018](https://arxiv.org/abs/1804.10959)
        - [Schuster & Nakajima, 2012](https://research.google/pubs/pub37842/)
        - [Sennrich et al., 2016](https://arxiv.org/abs/1508.07909)

    Example:

    ```python
    from keras_seq.data import train_tokenizer

    tokenizer = train_tokenizer(["아침 햇살", "아침 식사"], kind="character")
    ids = tokenizer(["아침 햇살"])
    assert tokenizer.detokenize(ids) == ["아침 햇살"]
    ```
    """  # noqa: E501
    check_kind("kind", kind)
    _check_int(vocabulary_size)
    check_cache(cache)
    check_verbose(verbose)
    texts = _check_texts(texts)
    options = {
        "vocabulary_size": vocabulary_size,
        "lowercase": bool(lowercase),
        "add_end": bool(add_end),
    }
    module = kind_module(kind)

    def train():
        with progress_bar(f"{kind} tokenizer", len(texts), "texts", verbose) as bar:
            tokenizer = module.train(texts, kind=kind, progress=_counter(bar), **options)
            bar.set_postfix_str("")
            return tokenizer

    if cache is False or not module.CACHED:
        return train()
    return cached(train, texts, kind, cache, **options)


def _counter(bar):
    """Function that iterates over texts and moves the bar, which stays after them."""

    def progress(texts):
        for text in texts:
            yield text
            bar.update()
        bar.set_postfix_str("all texts read, choosing the tokens")

    return progress


def _check_texts(texts):
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
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"`texts` must hold text that UTF-8 can write. Received: {text[:80]!a} at position "
                f"{i} ({error.reason})"
            ) from None
    texts = [text for text in texts if text]
    if not texts:
        raise ValueError("`texts` must hold a text that is not empty. Received: none")
    return texts


def _check_int(size):
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"`vocabulary_size` must be an int. Received: {size!r}")
