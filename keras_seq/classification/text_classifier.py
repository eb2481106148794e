"""`TextClassifier`: from strings to classes."""

import numpy as np

from keras_seq.classification._text_model import TextModel


class TextClassifier(TextModel):
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

    output, output_rank = "(B, C)", 2

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
        return np.concatenate([probabilities for _, probabilities in self._batches(texts)])
