"""The kinds of tokenizers by name.

A kind is a module with `TOKENIZER`, the class that `load_tokenizer` makes, and

    train(texts, kind, vocabulary_size, lowercase, add_end, progress) -> tokenizer

of a list of `str`, none empty; `progress(texts)` iterates over them and moves the bar. `CACHED`
says whether training takes long enough to keep its result.
"""

import importlib

# Modules by name, as KerasHub takes seconds to import.
KINDS = {
    "bpe": "keras_seq.data.tokenizers._sentencepiece",
    "byte": "keras_seq.data.tokenizers._byte",
    "character": "keras_seq.data.tokenizers._sentencepiece",
    "codepoint": "keras_seq.data.tokenizers._codepoint",
    "subword": "keras_seq.data.tokenizers._sentencepiece",
    "word": "keras_seq.data.tokenizers._word",
    "wordpiece": "keras_seq.data.tokenizers._wordpiece",
}


def check_kind(argument, kind):
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"`{argument}` must be one of {sorted(KINDS)}. Received: {kind!r}")


def kind_module(kind):
    try:
        return importlib.import_module(KINDS[kind])
    except ImportError as error:
        raise ImportError(
            "Tokenizers need sentencepiece and KerasHub: pip install 'keras_seq[data]'"
        ) from error
