"""What stands between strings and a model of one input of ids: tokens, lengths, one file."""

import numpy as np
from keras import ops

from keras_seq.generation._logits import final_softmax
from keras_seq.generation._padding import padded_width
from keras_seq.generation._texts import check_texts, check_vocabulary, padded_rows
from keras_seq.generation._token_ids import padded_to
from keras_seq.layers._arguments import check_choice, check_positive
from keras_seq.saving._archive import load_archive, save_archive
from keras_seq.stepping._embeddings import padding_id, positions, vocabulary_size
from keras_seq.stepping._keras_private import functional_of, input_names


class TextModel:
    """A tokenizer before a model from (B, T) ids to logits of classes, or to probabilities.

    Subclasses say what an output is, and are called with strings.

    Attributes:
        output: shape of the model's output, for errors.
        output_rank: number of its dimensions.
    """

    output, output_rank = None, None

    def __init__(
        self,
        model,
        tokenizer,
        class_names,
        sequence_length=None,
        too_long="error",
        batch_size=64,
    ):
        own = type(self).__name__
        check_positive(own, batch_size=batch_size, sequence_length=sequence_length or 1)
        check_choice(own, ("error", "keep_first", "keep_last"), too_long=too_long)
        source = _checked_input(own, model)
        self.fixed_width = source.shape[1]
        name = input_names(model)[0]
        known = [n for n in (self.fixed_width, positions(model, name)) if n is not None]
        longest = min(known, default=None)
        if sequence_length is None:
            sequence_length = longest
        elif longest is not None and sequence_length > longest:
            raise ValueError(
                f"`sequence_length` of {own} must be at most {longest}, for the model "
                f"reads no more. Received: {sequence_length}"
            )
        self.model = model
        self.tokenizer = tokenizer
        self.class_names = self._checked_names(class_names)
        self.sequence_length = sequence_length
        self.too_long = too_long
        self.batch_size = batch_size
        self.pad_token = padding_id(model, name) or 0
        self.gives_probabilities = final_softmax(model) is not None
        check_vocabulary("tokenizer", tokenizer, vocabulary_size(model, name))

    def _checked_names(self, names):
        names, own = list(names), type(self).__name__
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"`class_names` of {own} must be strings. Received: {names}")
        shapes = [tuple(tensor.shape) for tensor in functional_of(self.model).outputs]
        fits = [(len(shape), shape[-1]) for shape in shapes] == [(self.output_rank, len(names))]
        if len(names) < 2 or not fits:
            raise ValueError(
                f"`model` of {own} must have one output {self.output}, and `class_names` the names "
                f"of the C >= 2 classes. Received: outputs {shapes} and {len(names)} names"
            )
        return names

    def _probabilities(self, rows):
        """(N, ..., C) float32 of N arrays of ids, at most `batch_size`."""
        ids = self._padded(rows)
        count = padded_rows(len(ids), self.batch_size)
        filled = np.concatenate([ids, np.repeat(ids[-1:], count - len(ids), axis=0)])
        outputs = ops.cast(self.model.predict_on_batch(filled)[: len(ids)], "float32")
        if not self.gives_probabilities:
            outputs = ops.softmax(outputs, axis=-1)
        return ops.convert_to_numpy(outputs)

    def _batches(self, texts):
        """Pairs of N arrays of ids and their probabilities, `batch_size` texts at a time."""
        check_texts(texts)
        for begin in range(0, len(texts), self.batch_size):
            rows = self._rows(texts[begin : begin + self.batch_size])
            yield rows, self._probabilities(rows)

    def tokenize(self, texts):
        """Check and tokenize texts.

        Args:
            texts: list of strings.

        Returns:
            (N, T) int32 ids, padded on the right; T is the longest row's length or a little more.

        Raises:
            TypeError: if `texts` is no list of strings.
            ValueError: if a text is empty, or has more than `sequence_length` ids and `too_long` is
                `"error"`.
        """
        check_texts(texts)
        return self._padded(self._rows(texts))

    def _rows(self, texts):
        """An array of ids for each text, none longer than allowed."""
        rows = []
        for text, ids in zip(texts, self.tokenizer(list(texts)), strict=True):
            self._check_ids(text, ids)
            rows.append(self._cut(np.asarray(ids, "int32"), text))
        return rows

    def _check_ids(self, text, ids):
        """Raise `ValueError` if a text must not have these ids."""

    def _padded(self, rows):
        width = self.fixed_width
        if width is None:
            width = padded_width(max(map(len, rows)), self.sequence_length or float("inf"))
        return padded_to(width, rows, self.pad_token)

    def _cut(self, ids, text):
        limit = self.sequence_length
        if limit is None or len(ids) <= limit:
            return ids
        if self.too_long == "error":
            raise ValueError(
                f"A text has {len(ids)} tokens and at most sequence_length={limit} are allowed: "
                f"{text[:80]!r}. `too_long` of {type(self).__name__} may be 'keep_first' or "
                "'keep_last'."
            )
        return ids[:limit] if self.too_long == "keep_first" else ids[-limit:]

    def save(self, path):
        """Write model (without optimizer), tokenizer, classes and lengths to one file for `load`.

        Args:
            path: of the file; it appears whole or not at all, and replaces one that is there.

        Raises:
            TypeError: if a part cannot be saved (a Lambda layer, a tokenizer that is not registered
                with Keras), before anything is written.
            OSError: if nothing can be written to `path`, or something else is there.
        """
        config = {
            "class_names": self.class_names,
            "sequence_length": None if self.sequence_length is None else int(self.sequence_length),
            "too_long": self.too_long,
            "batch_size": int(self.batch_size),
        }
        save_archive(path, type(self).__name__, config, self.model, {"tokenizer": self.tokenizer})

    @classmethod
    def load(cls, path):
        """An object that gives the same probabilities as the one that was saved.

        Keras loads the model in its safe mode, and no code comes from the file.

        Args:
            path: of a file that `save` wrote.

        Raises:
            ValueError: if there is no such file, it is another one or damaged, or names a class
                that is not registered.
        """
        config, model, tokenizers = load_archive(path, cls.__name__)
        return cls(model, **tokenizers, **config)


def _checked_input(own, model):
    """The model's one symbolic input of ids (B, T)."""
    functional = functional_of(model)
    if functional is None:
        raise ValueError(
            f"`model` of {own} must be a functional keras.Model. Received: {type(model).__name__}"
        )
    shapes = [tuple(tensor.shape) for tensor in functional.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 2:
        raise ValueError(
            f"`model` of {own} must have one input of token ids (B, T). Received: {shapes}"
        )
    return functional.inputs[0]
