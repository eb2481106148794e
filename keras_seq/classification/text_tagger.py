"""`TextTagger`: from strings to a class for each word."""

from keras_seq.classification._text_model import TextModel


class TextTagger(TextModel):
    r"""Puts a tokenizer before a tagger: strings in, the words with the names of their classes out.

        p(class_t | text) = softmax(model(ids of the text)_t)

    Words stand between white space, and the tokenizer gives one id a word, as in
    `keras_seq.data.tagging`. Texts are padded on the right, which must change nothing, as in
    `keras_seq.models.sequence_tagger`.

    Args:
        model: functional `keras.Model` from (B, T) ids to logits (B, T, C), or to probabilities
            where it ends in a softmax.
        tokenizer: the tokenizer that the model was trained with.
        class_names: list of C strings, such as `class_names` of `keras_seq.data.tagging`.
        sequence_length: the largest number of words of a text. `None`: as many as the model takes,
            or no limit.
        too_long: what becomes of a text with more: `"error"`, or `"keep_first"` or `"keep_last"` to
            read so many words of its beginning or end.
        batch_size: how many texts to tag at once.

    Raises:
        TypeError: if `class_names` are not strings.
        ValueError: if the model does not map one input of ids to C numbers a step, or the
            tokenizer's vocabulary or the `sequence_length` does not fit it.

    Example:

    ```python
    import keras_seq
    from keras_seq.classification import TextTagger
    from keras_seq.data import train_tokenizer

    tokenizer = train_tokenizer(["the dog runs", "a cat sleeps"], kind="word")
    model = keras_seq.models.sequence_tagger(2, tokenizer.vocabulary_size(), hidden_dim=8)
    tagger = TextTagger(model, tokenizer, class_names=["noun", "other"])
    print(tagger("the cat runs"))  # [("the", ...), ("cat", ...), ("runs", ...)], untrained
    print(tagger.predict(["the cat runs", "a dog"])[1].shape)  # (2, 2): words, classes
    print(keras_seq.export.to_saved_model(tagger, "tagger/1"))  # strings in
    ```
    """

    output, output_rank = "(B, T, C)", 3

    def __call__(self, texts):
        """The likeliest class of each word.

        Args:
            texts: a string or a list of strings.

        Returns:
            A list of pairs of word and name of its class, or a list of such lists, as `texts`.

        Raises:
            TypeError, ValueError: see `tokenize`; ValueError if the tokenizer gives a text more or
                fewer ids than it has words.
        """
        if isinstance(texts, str):
            return self([texts])[0]
        tagged = []
        for text, probabilities in zip(texts, self.predict(texts), strict=True):
            words = self._cut(text.split(), text)
            names = [self.class_names[i] for i in probabilities.argmax(axis=-1)]
            tagged.append(list(zip(words, names, strict=True)))
        return tagged

    def predict(self, texts):
        """The probabilities of all classes, for each word.

        Args:
            texts: list of strings.

        Returns:
            List of (T, C) float32 NumPy arrays, T the number of words of a text, C in the order of
            `class_names`.

        Raises:
            TypeError, ValueError: see `__call__`.
        """
        return [
            padded[: len(row)]
            for rows, probabilities in self._batches(texts)
            for row, padded in zip(rows, probabilities, strict=True)
        ]

    def _check_ids(self, text, ids):
        if len(ids) != len(text.split()):
            raise ValueError(
                "`tokenizer` of TextTagger must give one id a word, as "
                f"train_tokenizer(texts, 'word') does. Received: {len(ids)} ids for {text[:80]!r}"
            )
