"""Pieces that SentencePiece chooses: a unigram model, byte-pair merges, or characters."""

import base64
import io
import os
import sys
import tempfile

import keras
import keras_hub
import sentencepiece

from keras_seq.data.tokenizers._model_proto import without_paths
from keras_seq.data.tokenizers._saving import SavedTokenizer
from keras_seq.data.tokenizers._special_tokens import (
    END_ID,
    PAD_ID,
    SPECIAL_TOKENS,
    START_ID,
    UNKNOWN_ID,
)

CACHED = True
FILE = "vocabulary.spm"
_MODEL_TYPES = {"subword": "unigram", "bpe": "bpe", "character": "char"}


@keras.saving.register_keras_serializable(package="keras_seq")
class SentencePieceTokenizer(SavedTokenizer, keras_hub.tokenizers.SentencePieceTokenizer):
    """KerasHub's tokenizer, with its vocabulary in its config; made by `train_tokenizer`.

    Args:
        proto: A SentencePiece model as `bytes`.
        kind: `"subword"`, `"bpe"` or `"character"`: how the model was trained.
        add_end: Whether a text ends with the end id.

    Example:

    ```python
    from keras_seq.data import train_tokenizer

    tokenizer = train_tokenizer(["low lower lowest"], kind="bpe", vocabulary_size=20)
    assert tokenizer.detokenize(tokenizer(["lowest"])) == ["lowest"]
    ```
    """

    settings = ("kind", "add_end")
    learned = ("proto",)

    def __init__(self, proto=None, kind="subword", add_end=False, **kwargs):
        super().__init__(proto=proto, add_eos=add_end, dtype="int32", **kwargs)
        self.kind = kind

    @property
    def add_end(self):
        return self.add_eos

    def get_config(self):
        proto = None if self.proto is None else base64.b64encode(self.proto).decode("ascii")
        return {**super().get_config(), "proto": proto}

    @classmethod
    def from_config(cls, config):
        proto = config["proto"]
        return cls(**{**config, "proto": None if proto is None else base64.b64decode(proto)})

    def load_assets(self, dir_path):
        with open(os.path.join(dir_path, FILE), "rb") as file:
            self.set_proto(file.read())


TOKENIZER = SentencePieceTokenizer


def train(texts, kind, vocabulary_size, lowercase, add_end, progress):
    if lowercase:
        texts = [_lower(text) for text in texts]
    _check_vocabulary_size(vocabulary_size, texts, kind)
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(progress(texts)),
            model_writer=model,
            model_type=_MODEL_TYPES[kind],
            normalization_rule_tsv=_write_rules(folder, lowercase),
            vocab_size=vocabulary_size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            # A space put before the text lets "cat" share its piece with " cat"; characters
            # have nothing to share.
            add_dummy_prefix=kind != "character",
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
    return SentencePieceTokenizer(without_paths(model.getvalue()), kind=kind, add_end=add_end)


def _check_vocabulary_size(size, texts, kind):
    characters = {c for text in texts for c in text} - {"\u2581"} | {" "}
    least = len(characters) + len(SPECIAL_TOKENS)
    if size < least:
        raise ValueError(
            f"`vocabulary_size` must be at least {least} for a {kind} tokenizer, as the texts have "
            f"{len(characters)} distinct characters, and {len(SPECIAL_TOKENS)} pieces are special. "
            f"Received: {size}. Raise it, or clean the texts of rare characters."
        )


def _lower(text):
    # Character by character as the tokenizer does it: str.lower() looks at the context of Σ.
    return "".join(c.lower() for c in text)


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
