"""A text generator as a function of strings."""

import json

import numpy as np

from keras_seq.export._compare_tokens import compare_tokens, target_time
from keras_seq.export._exported_function import ExportedFunction, rows_of_calls
from keras_seq.export._exported_generator import generate_latency
from keras_seq.export._texts_to_ids import (
    call_of,
    check_tokenizer,
    checked_texts,
    padded_ids,
    random_texts,
)
from keras_seq.export.report import ExportError
from keras_seq.generation._exportable import check_exportable


class ExportedTexts(ExportedFunction):
    """A text generator: strings in; text, tokens and scores out.

    Args:
        model: a `keras_seq.generation.TextGenerator`.
        texts: list of strings to compare on; random ones if `None`.
        atol: tolerance of scores.
    """

    def __init__(self, model, texts, atol):
        super().__init__(model, atol)
        check_exportable(model.generator)
        if model.source_input is None:
            raise ValueError(
                "A TextGenerator whose model has no context input cannot be exported with its "
                "tokenizer: what it writes goes on from prompts of any length. Export its "
                "`generator`, from ids to ids, with a `prompt_length`."
            )
        target_time(model.generator, 1)
        check_tokenizer("source_tokenizer", model.source_tokenizer)
        if texts is None:
            texts = random_texts(model.source_tokenizer, model.source_length)
        self.inputs = {model.source_input: model.tokenize(checked_texts(texts))}
        self.texts = list(texts)
        parts = [self.texts[rows] for rows in rows_of_calls(len(self.texts))]
        self.calls = [call_of(part) for part in parts]

    @property
    def keras_model(self):
        return self.model.generator.model

    @property
    def tokenizers(self):
        return [self.model.source_tokenizer, self.model.target_tokenizer]

    def specs(self):
        return {"texts": ((None,), "string")}

    def __call__(self, texts):
        return self._serve(texts, self._decode)

    def jit_compiled(self):
        """All but the tokenizers, which XLA does not know; few shapes are compiled."""
        import tensorflow as tf

        decode = tf.function(self._decode, autograph=False, jit_compile=True)
        return lambda texts: self._serve(texts, decode, few_widths=True)

    def _serve(self, texts, decode, few_widths=False):
        import tensorflow as tf

        model = self.model
        source = padded_ids(
            model.source_tokenizer,
            texts,
            model.source_pad_token,
            model.source_length,
            width=model.fixed_width,
            few_widths=few_widths,
        )
        tokens, scores = decode(source)
        ended = tf.reduce_any(tf.equal(tokens[..., None], model.generator.end_tokens), axis=-1)
        ahead = tf.equal(tf.cumsum(tf.cast(ended, "int32"), axis=1), 0)
        text = model.target_tokenizer.detokenize(tf.ragged.boolean_mask(tokens, ahead))
        return {"text": text, "tokens": tokens, "scores": scores}

    def _decode(self, source):
        """New tokens (B, N) and scores (B,) for source ids (B, S)."""
        import tensorflow as tf

        generator, batch = self.model.generator, tf.shape(source)[0]
        start = tf.fill((batch, 1), np.int32(generator.start_token))
        inputs, lengths = {self.model.source_input: source}, tf.ones((batch,), "int32")
        tokens, scores, _ = generator.decode(inputs, start, lengths, 0, generator.max_length)
        return tokens[:, 1:], scores

    def compare(self, what, outputs):
        tokens, scores = (
            np.concatenate([output[name] for output in outputs]) for name in ("tokens", "scores")
        )
        arguments = (self.model.generator, self.inputs, None, tokens, scores)
        result = compare_tokens(what, *arguments, self.atol)
        expected = self.model.detokenize(tokens)
        got = [text for output in outputs for text in json.loads(str(output["text"]))]
        if expected != got:
            row = next(i for i, (a, b) in enumerate(zip(expected, got, strict=True)) if a != b)
            raise ExportError(
                f"{what} gives other text than the Keras model for {self.texts[row]!r}: "
                f"{got[row]!r} instead of {expected[row]!r}, from the same tokens."
            )
        return result

    def both_outputs(self, outputs):
        got = [text for output in outputs for text in json.loads(str(output["text"]))]
        return {"text": self.model(self.texts)}, {"text": got}

    def model_latency(self):
        ((name, ids),) = self.inputs.items()
        return generate_latency(self.model.generator, [{name: row[None]} for row in ids[:20]])
