"""A text classifier as a function of strings."""

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
        import tensorflow as tf

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
        probabilities = probabilities_of(ids)
        return {
            "probabilities": probabilities,
            "classes": tf.gather(model.class_names, tf.argmax(probabilities, axis=-1)),
        }

    def _probabilities(self, ids):
        """(B, C) float32 of (B, T) ids."""
        (outputs,) = self.model_call({self.model_call.names[0]: ids})
        return self._normalized(ops.cast(outputs, "float32"))

    def _normalized(self, outputs):
        return outputs if self.model.gives_probabilities else ops.softmax(outputs, axis=-1)

    def compare(self, what, outputs):
        want = self._own_probabilities()  # (N, C)
        have = np.concatenate([output["probabilities"] for output in outputs])
        disagrees = f"{what} does not agree with the Keras model's own call"
        if have.shape != want.shape:
            raise ExportError(
                f"{disagrees}: the probabilities have shape {have.shape}, the model's {want.shape}."
            )
        difference = float(np.max(np.abs(have - want)))
        if not difference <= self.atol:
            raise ExportError(
                f"{disagrees}: the probabilities differ by {difference:.3g} (atol={self.atol:g})."
            )
        names = [name for output in outputs for name in json.loads(str(output["classes"]))]
        for text, name, row in zip(self.texts, names, have, strict=True):
            likeliest = self.model.class_names[int(row.argmax())]
            if name != likeliest:
                raise ExportError(
                    f"{what} gives the class {name!r} for {text[:80]!r}, and {likeliest!r} has the "
                    "largest probability."
                )
        return {
            "inputs": len(want),
            "values": want.size,
            "largest_difference": difference,
            "atol": self.atol,
        }

    def both_outputs(self, outputs):
        both = self._own_probabilities(), np.concatenate([o["probabilities"] for o in outputs])
        names = np.array(self.model.class_names)
        return tuple({"probabilities": p, "classes": names[p.argmax(axis=-1)]} for p in both)

    def _own_probabilities(self):
        """Of the model's own call on the classifier's ids, a batch of the classifier at a time."""
        size, parts, (name,) = self.model.batch_size, [], self.model_call.names
        for begin in range(0, len(self.ids), size):
            (outputs,) = self.model_call.run({name: self.ids[begin : begin + size]})
            parts.append(outputs.astype("float32"))
        return ops.convert_to_numpy(self._normalized(np.concatenate(parts)))

    def model_latency(self):
        return median_milliseconds(self.model.predict, [[text] for text in self.texts[:20]])
