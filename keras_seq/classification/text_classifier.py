"""`TextClassifier`: from strings to classes."""

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


class TextClassifier:
    r"""Puts a tokenizer before a classifier: strings in, names of classes out.

        p(class | text) = softmax(model(ids of the text))

    Texts are tokenized, padded on the right to one of a few widths (so that few shapes are
    compiled), which must change nothing, as in `keras_seq.models.sequence_classifier`.

    Args:
        model: functional `keras.Model` from (B, T) ids to logits (B, C), or to probabilities where
            it ends in a softmax.
        tokenizer: the tokenizer that the model was trained with.
        class_names: list of C strings, such as `class_names` of `keras_seq.data.classification`.
        sequence_length: the largest number of ids of a text. `None`: as many as the model takes, or
            no limit.
        too_long: what becomes of a text with more: `"error"`, or `"keep_first"` or `"keep_last"` to
            read so many ids of its beginning or end.
        batch_size: how many texts to classify at once.

    Raises:
        TypeError: if `class_names` are not strings.
        ValueError: if the model does not map one input of ids to C numbers, or the tokenizer's
            vocabulary or the `sequence_length` does not fit it.

    Example:

    ```python
    import keras_seq
    from keras_seq.classification import TextClassifier
    from keras_seq.data import train_tokenizer

    tokenizer = train_tokenizer(["a fine film", "a dull film"], kind="word")
    model = keras_seq.models.sequence_classifier(2, tokenizer.vocabulary_size(), hidden_dim=8)
    classifier = TextClassifier(model, tokenizer, class_names=["bad", "good"])
    print(classifier(["a fine film", "dull"]))  # two names (of an untrained model)
    print(classifier.predict(["a fine film", "dull"]))  # (2, 2) probabilities

    classifier.save("classifier.keras_seq")  # the model, the tokenizer and all settings
    again = TextClassifier.load("classifier.keras_seq")
    assert again("a fine film") == classifier("a fine film")
    ```
    """

    def __init__(
        self,
        model,
        tokenizer,
        class_names,
        sequence_length=None,
        too_long="error",
        batch_size=64,
    ):
        check_positive(
            "TextClassifier", batch_size=batch_size, sequence_length=sequence_length or 1
        )
        check_choice("TextClassifier", ("error", "keep_first", "keep_last"), too_long=too_long)
        source = _checked_input(model)
        self.fixed_width = source.shape[1]
        name = input_names(model)[0]
        known = [n for n in (self.fixed_width, positions(model, name)) if n is not None]
        longest = min(known, default=None)
        if sequence_length is None:
            sequence_length = longest
        elif longest is not None and sequence_length > longest:
            raise ValueError(
                f"`sequence_length` of TextClassifier must be at most {longest}, for the model "
                f"reads no more. Received: {sequence_length}"
            )
        self.model = model
        self.tokenizer = tokenizer
        self.class_names = _checked_names(class_names, model)
        self.sequence_length = sequence_length
        self.too_long = too_long
        self.batch_size = batch_size
        self.pad_token = padding_id(model, name) or 0
        self.gives_probabilities = final_softmax(model) is not None
        check_vocabulary("tokenizer", tokenizer, vocabulary_size(model, name))

    def __call__(self, texts):
        """The likeliest class of each text.

        Args:
            texts: a string or a list of strings.

        Returns:
            A name or a list of names, as `texts`.

        Raises:
            TypeError, ValueError: see `tokenize`.
        """
        if isinstance(texts, str):
            return self([texts])[0]
        return [self.class_names[i] for i in self.predict(texts).argmax(axis=-1)]

    def predict(self, texts):
        """The probabilities of all classes.

        Args:
            texts: list of strings.

        Returns:
            (N, C) float32 NumPy array, in the order of `class_names`.

        Raises:
            TypeError, ValueError: see `tokenize`.
        """
        check_texts(texts)
        starts = range(0, len(texts), self.batch_size)
        return np.concatenate([self._predict(texts[i : i + self.batch_size]) for i in starts])

    def _predict(self, texts):
        ids = self._ids(texts)
        rows = padded_rows(len(ids), self.batch_size)
        filled = np.concatenate([ids, np.repeat(ids[-1:], rows - len(ids), axis=0)])
        outputs = ops.cast(self.model.predict_on_batch(filled)[: len(ids)], "float32")
        if not self.gives_probabilities:
            outputs = ops.softmax(outputs, axis=-1)
        return ops.convert_to_numpy(outputs)

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
        return self._ids(texts)

    def _ids(self, texts):
        rows = [np.asarray(row, "int32") for row in self.tokenizer(list(texts))]
        rows = [self._cut(row, text) for row, text in zip(rows, texts, strict=True)]
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
                f"{text[:80]!r}. `too_long` of TextClassifier may be 'keep_first' or 'keep_last'."
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
        save_archive(path, "TextClassifier", config, self.model, {"tokenizer": self.tokenizer})

    @classmethod
    def load(cls, path):
        """A `TextClassifier` that gives the same probabilities as the one that was saved.

        Keras loads the model in its safe mode, and no code comes from the file.

        Args:
            path: of a file that `save` wrote.

        Raises:
            ValueError: if there is no such file, it is another one or damaged, or names a class
                that is not registered.
        """
        config, model, tokenizers = load_archive(path, "TextClassifier")
        return cls(model, **tokenizers, **config)


def _checked_input(model):
    """The model's one symbolic input of ids (B, T)."""
    functional = functional_of(model)
    if functional is None:
        raise ValueError(
            "`model` of TextClassifier must be a functional keras.Model. "
            f"Received: {type(model).__name__}"
        )
    shapes = [tuple(tensor.shape) for tensor in functional.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 2:
        raise ValueError(
            f"`model` of TextClassifier must have one input of token ids (B, T). Received: {shapes}"
        )
    return functional.inputs[0]


def _checked_names(names, model):
    names = list(names)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"`class_names` of TextClassifier must be strings. Received: {names}")
    shapes = [tuple(tensor.shape) for tensor in functional_of(model).outputs]
    if len(names) < 2 or shapes != [(shapes[0][0], len(names))]:
        raise ValueError(
            "`model` of TextClassifier must have one output (B, C), and `class_names` the names of "
            f"the C >= 2 classes. Received: outputs {shapes} and {len(names)} names"
        )
    return names
