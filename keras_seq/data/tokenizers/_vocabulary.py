"""Tokenizers that know a list of tokens."""

import json
import os

from keras_seq.data.tokenizers._special_tokens import SPECIAL_TOKENS, UNKNOWN_ID
from keras_seq.data.tokenizers._text_tokenizer import TextTokenizer

FILE = "vocabulary.json"


class VocabularyTokenizer(TextTokenizer):
    """A mixin for tokenizers with a list of tokens, the special ones first."""

    learned = ("vocabulary",)
    files = (FILE,)

    def set_vocabulary(self, vocabulary):
        """Set the list of tokens; None leaves it to `load_assets`."""
        self.vocabulary = None if vocabulary is None else list(vocabulary)
        if vocabulary is None:
            return
        if tuple(self.vocabulary[: len(SPECIAL_TOKENS)]) != SPECIAL_TOKENS:
            raise ValueError(
                f"`vocabulary` must begin with {SPECIAL_TOKENS}. Received: {self.vocabulary[:4]}"
            )
        self._ids = {token: id for id, token in enumerate(self.vocabulary)}
        if len(self._ids) != len(self.vocabulary):
            raise ValueError("`vocabulary` must hold each token once. Received: a token twice")
        self._prepare()

    def _prepare(self):
        """Make what `_encode` and `_decode` need of the vocabulary."""
        raise NotImplementedError

    def get_vocabulary(self):
        """The tokens in the order of their ids."""
        return list(self.vocabulary)

    def vocabulary_size(self):
        """The number of tokens, the special ones included."""
        return len(self.vocabulary)

    def _token(self, id):
        return self.vocabulary[id]

    def _id(self, token):
        return self._ids.get(token, UNKNOWN_ID)

    def save_assets(self, dir_path):
        with open(os.path.join(dir_path, FILE), "w", encoding="utf-8", newline="\n") as file:
            json.dump(self.get_vocabulary(), file, ensure_ascii=False, indent=0)

    def load_assets(self, dir_path):
        with open(os.path.join(dir_path, FILE), encoding="utf-8") as file:
            self.set_vocabulary(json.load(file))
