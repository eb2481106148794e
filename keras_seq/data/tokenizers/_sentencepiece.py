"""Pieces that SentencePiece chooses: a unigram model, byte-pair merges, or characters."""

import base64
import contextlib
import hashlib
import io
import itertools
import os
import sys
import tempfile

import keras
import keras_hub
import sentencepiece
import tensorflow as tf
import tensorflow_text

from keras_seq.data.tokenizers._model_proto import without_paths
from keras_seq.data.tokenizers._saving import SavedTokenizer
from keras_seq.data.tokenizers._special_tokens import (
    END_ID,
    PAD_ID,
    SPECIAL_TOKENS,
    START_ID,
    UNKNOWN_ID,
    check_id,
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
    files = (FILE,)

    def __init__(self, proto=None, kind="subword", add_end=False, **kwargs):
        super().__init__(proto=proto, add_eos=add_end, dtype="int32", **kwargs)
        self.kind = kind

    @property
    def add_end(self):
        return self.add_eos

    def set_proto(self, proto):
        super().set_proto(proto)
        if proto is not None:
            processor = sentencepiece.SentencePieceProcessor(model_proto=self.proto)
            self._pieces = processor.id_to_piece(list(range(processor.vocab_size())))
            self._model_name = f"SentencePiece_{hashlib.sha256(self.proto).hexdigest()}"
            self._piece_ids = {piece: id for id, piece in enumerate(self._pieces)}

    def tokenize(self, inputs):
        with self._model_in_graph():
            return super().tokenize(inputs)

    def detokenize(self, inputs):
        with self._model_in_graph():
            return super().detokenize(inputs)

    @contextlib.contextmanager
    def _model_in_graph(self):
        """A graph gets a model of its own.

        TensorFlow Text's belongs to the eager operation that made it, and ends with the cache of
        these, which `keras.utils.set_random_seed` clears: pipelines made before then fail. In a
        SavedModel, models of one name are one model, so the name says what is in it.
        """
        kept = self._sentence_piece
        if not tf.executing_eagerly() or _eager_calls_need_the_model(self):
            self._sentence_piece = tensorflow_text.SentencepieceTokenizer(
                self.proto,
                tf.int32,
                add_bos=self.add_bos,
                add_eos=self.add_eos,
                name=self._model_name,
            )
        try:
            yield
        finally:
            self._sentence_piece = kept

    def vocabulary_size(self):
        """The number of pieces, the special ones included."""
        return len(self._pieces)

    def get_vocabulary(self):
        """The pieces in the order of their ids."""
        return list(self._pieces)

    def id_to_token(self, id):
        """The piece of an id."""
        check_id(id, len(self._pieces))
        return self._pieces[id]

    def token_to_id(self, token):
        """The id of a piece, the unknown id if there is none."""
        return self._piece_ids.get(token, UNKNOWN_ID)

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


def _eager_calls_need_the_model(tokenizer):
    # KerasHub before 0.26; later ones call the sentencepiece package.
    return not hasattr(tokenizer, "_use_tf_workflow")


TOKENIZER = SentencePieceTokenizer


def train(texts, kind, vocabulary_size, lowercase, add_end, progress):
    if lowercase:
        texts = [_lower(text) for text in texts]
    _check_vocabulary_size(vocabulary_size, texts, kind)
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=itertools.chain(progress(texts), _line_ends(texts)),
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


def _line_ends(texts):
    """A text for each line end that texts only end with, where SentencePiece does not see it."""
    last = {c for text in texts for c in text[len(text.rstrip("\r\n")) :]}
    inside = {c for text in texts for c in text.rstrip("\r\n") if c in "\r\n"}
    for end in sorted(last - inside):
        yield f"{end} "


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
