"""A text classifier or tagger as a function of strings."""

import json

import numpy as np
from keras import ops

from keras_seq.export._exported_function import (
    ExportedFunction,
    median_milliseconds,
    rows_of_calls,
)
from keras_seq.export._model_call import ModelCall
from keras_seq.export._texts_to_ids import (
    call_of,
    check_tokenizer,
    checked_texts,
    padded_ids,
    random_texts,
)
from keras_seq.export.report import ExportError


class ExportedClassifier(ExportedFunction):
    """A text classifier: strings in, probabilities and names of classes out.

    Args:
        model: a `keras_seq.classification.TextClassifier`.
        texts: list of strings to compare on; random ones if `None`.
        atol: tolerance of probabilities.
    """

    def __init__(self, model, texts, atol):
        super().__init__(model, atol)
        check_tokenizer("tokenizer", model.tokenizer)
        if texts is None:
            texts = random_texts(model.tokenizer, model.sequence_length)
        self.ids = model.tokenize(checked_texts(texts))  # (N, T)
        self.texts = list(texts)
        self.model_call = ModelCall(model.model)
        self.calls = [call_of(self.texts[rows]) for rows in rows_of_calls(len(self.texts))]

    @property
    def keras_model(self):
        return self.model.model

    @property
    def tokenizers(self):
        return [self.model.tokenizer]

    def specs(self):
        return {"texts": ((None,), "string")}

    def __call__(self, texts):
        return self._serve(texts, self._probabilities)

    def jit_compiled(self):
        """All but the tokenizer, which XLA does not know; few shapes are compiled."""
        import tensorflow as tf

        probabilities = tf.function(self._probabilities, autograph=False, jit_compile=True)
        return lambda texts: self._serve(texts, probabilities, few_widths=True)

    def _serve(self, texts, probabilities_of, few_widths=False):
        model = self.model
        ids = padded_ids(
            model.tokenizer,
            texts,
            model.pad_token,
            model.sequence_length,
            model.too_long,
            model.fixed_width,
            few_widths,
        )
        return self._named(ids, probabilities_of(ids))

    def _named(self, ids, probabilities):
        """What is served of ids (B, T)."""
        import tensorflow as tf

        names = tf.gather(self.model.class_names, tf.argmax(probabilities, axis=-1))
        return {"probabilities": probabilities, "classes": names}

    def _probabilities(self, ids):
        """(B, ..., C) float32 of (B, T) ids."""
        (outputs,) = self.model_call({self.model_call.names[0]: ids})
        return self._normalized(ops.cast(outputs, "float32"))

    def _normalized(self, outputs):
        return outputs if self.model.gives_probabilities else ops.softmax(outputs, axis=-1)

    def compare(self, what, outputs):
        want, have = self._own_probabilities(), self._texts_of(outputs, "probabilities")
        disagrees = f"{what} does not agree with the Keras model's own call"
        if [p.shape for p in have] != [p.shape for p in want]:
            raise ExportError(
                f"{disagrees}: the probabilities have shapes {_few(have)}, the model's "
                f"{_few(want)}."
            )
        differences = [np.max(np.abs(a - b), initial=0) for a, b in zip(have, want, strict=True)]
        difference = float(np.max(differences))
        if not difference <= self.atol:
            raise ExportError(
                f"{disagrees}: the probabilities differ by {difference:.3g} (atol={self.atol:g})."
            )
        names = self._texts_of(outputs, "classes")
        for text, got, probabilities in zip(self.texts, names, have, strict=True):
            likeliest = self._likeliest(probabilities)
            if got.tolist() != likeliest.tolist():
                raise ExportError(
                    f"{what} gives the class {_quoted(got)} for {text[:80]!r}, and "
                    f"{_quoted(likeliest)} has the largest probability."
                )
        return {
            "inputs": len(want),
            "values": sum(p.size for p in want),
            "largest_difference": difference,
            "atol": self.atol,
        }

    def both_outputs(self, outputs):
        both = self._own_probabilities(), self._texts_of(outputs, "probabilities")
        return tuple(
            {
                "probabilities": self._stacked(p),
                "classes": self._stacked([self._likeliest(row) for row in p]),
            }
            for p in both
        )

    def _likeliest(self, probabilities):
        return np.array(self.model.class_names)[probabilities.argmax(axis=-1)]

    def _texts_of(self, outputs, name):
        """An output, the array of each text alone."""
        batches = (output[name] for output in outputs)
        if name == "classes":
            batches = (np.array(json.loads(str(batch))) for batch in batches)
        rows = [row for batch in batches for row in batch]
        return [self._unpadded(*pair) for pair in zip(rows, self.ids, strict=True)]

    def _own_probabilities(self):
        """Of the model's own call on the classifier's ids, a batch of the classifier at a time."""
        size, rows, (name,) = self.model.batch_size, [], self.model_call.names
        for begin in range(0, len(self.ids), size):
            (outputs,) = self.model_call.run({name: self.ids[begin : begin + size]})
            rows += list(ops.convert_to_numpy(self._normalized(outputs.astype("float32"))))
        return [self._unpadded(*pair) for pair in zip(rows, self.ids, strict=True)]

    def _unpadded(self, output, ids):
        """What of a text's output counts; ids (T,)."""
        return output

    def _stacked(self, rows):
        """What a metric gets: of a classifier an array."""
        return np.stack(rows)

    def model_latency(self):
        return median_milliseconds(self.model.predict, [[text] for text in self.texts[:20]])


class ExportedTagger(ExportedClassifier):
    """A text tagger: strings in, for each word probabilities and the name of a class out.

    Args:
        model: a `keras_seq.classification.TextTagger`.
        texts, atol: see `ExportedClassifier`.
    """

    def _named(self, ids, probabilities):
        import tensorflow as tf

        is_word = ids != self.model.pad_token
        named = super()._named(ids, probabilities)
        return {
            "probabilities": tf.where(is_word[..., tf.newaxis], named["probabilities"], 0.0),
            "classes": tf.where(is_word, named["classes"], ""),
        }

    def _unpadded(self, output, ids):
        return output[: (ids != self.model.pad_token).sum()]

    def _stacked(self, rows):
        return rows


def _few(arrays):
    return [array.shape for array in arrays[:3]]


def _quoted(names):
    return repr(str(names)) if names.ndim == 0 else repr(names.tolist())
