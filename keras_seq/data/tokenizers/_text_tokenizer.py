"""What tokenizers other than SentencePiece's have in common."""

import keras
import numpy as np
import tensorflow as tf

from keras_seq.data.tokenizers._saving import SavedTokenizer
from keras_seq.data.tokenizers._special_tokens import (
    END_ID,
    PAD_ID,
    SPECIAL_TOKENS,
    START_ID,
    check_id,
)


def lower(texts):
    """Lower case, character by character: without this, the last Σ of a word becomes ς."""
    return tf.strings.lower(tf.strings.regex_replace(texts, "Σ", "σ"), encoding="utf-8")


class TextTokenizer(SavedTokenizer):
    """A mixin for subclasses of KerasHub's tokenizers, which say how to encode and decode a batch.

    The same TensorFlow operations run eagerly and in graphs, so that both give the same ids.
    """

    settings = ("lowercase", "add_end")

    @property
    def add_eos(self):
        return self.add_end

    def _encode(self, texts):
        """(B,) strings to ragged (B, T) ids."""
        raise NotImplementedError

    def _decode(self, ids):
        """Ragged (B, T) int32 ids without padding, start and end to (B,) strings."""
        raise NotImplementedError

    def tokenize(self, inputs):
        """Text to ids: of a batch ragged int32 (B, T), in eager mode lists; of one (T,)."""
        with tf.device("cpu"):
            texts = tf.convert_to_tensor(inputs, tf.string)
            if texts.shape.rank not in (0, 1):
                raise ValueError(
                    "`inputs` of a tokenizer must be a string or a vector of strings. Received: "
                    f"shape {texts.shape}"
                )
            ids = self._rows_of_ids(tf.reshape(texts, [-1]))
            ids = ids.values if texts.shape.rank == 0 else ids
        if not tf.executing_eagerly():
            return ids
        if isinstance(ids, tf.RaggedTensor):
            return ids.to_list()
        return ids.numpy()

    def _rows_of_ids(self, texts):
        ids = tf.cast(self._encode(lower(texts) if self.lowercase else texts), "int32")
        if not self.add_end:
            return ids
        ends = tf.fill([ids.nrows(out_type="int32"), 1], END_ID)
        return tf.concat([ids, tf.RaggedTensor.from_tensor(ends, row_splits_dtype="int64")], axis=1)

    def detokenize(self, inputs):
        """Ids (B, T), or (T,), to strings without padding, start and end tokens."""
        with tf.device("cpu"):
            ids, batched = _as_rows(inputs)
            for special in (PAD_ID, START_ID, END_ID):
                ids = tf.ragged.boolean_mask(ids, tf.not_equal(ids, special))
            texts = self._decode(ids)
            texts = texts if batched else texts[0]
        if not tf.executing_eagerly():
            return texts
        texts = texts.numpy()
        return [text.decode() for text in texts] if batched else texts.decode()

    def call(self, inputs, *args, training=None, **kwargs):
        return self.tokenize(inputs)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((*inputs.shape, None), dtype="int32")

    def get_vocabulary(self):
        """The tokens in the order of their ids."""
        return [self.id_to_token(id) for id in range(self.vocabulary_size())]

    def id_to_token(self, id):
        """The token of an id."""
        check_id(id, self.vocabulary_size())
        if id < len(SPECIAL_TOKENS):
            return SPECIAL_TOKENS[id]
        return self._token(int(id))

    def token_to_id(self, token):
        """The id of a token, the unknown id if there is none."""
        if token in SPECIAL_TOKENS:
            return SPECIAL_TOKENS.index(token)
        return self._id(token)

    def _token(self, id):
        raise NotImplementedError

    def _id(self, token):
        raise NotImplementedError


def _as_rows(ids):
    """Ids in any form to (ragged int32 (B, T), whether they were a batch)."""
    if isinstance(ids, (list, tuple)):
        batched = bool(ids) and np.ndim(ids[0]) > 0
        rows = [np.asarray(row, "int32") for row in (ids if batched else [ids])]
        lengths = [len(row) for row in rows]
        return tf.RaggedTensor.from_row_lengths(
            np.concatenate(rows), np.asarray(lengths, "int64")
        ), batched
    if isinstance(ids, tf.RaggedTensor):
        return tf.cast(ids, "int32").with_row_splits_dtype("int64"), True
    if not tf.is_tensor(ids):
        ids = np.asarray(ids)  # of another backend, or NumPy already
    ids = tf.cast(tf.convert_to_tensor(ids), "int32")
    batched = ids.shape.rank == 2
    return tf.RaggedTensor.from_tensor(
        ids if batched else tf.reshape(ids, [1, -1]), row_splits_dtype="int64"
    ), batched
