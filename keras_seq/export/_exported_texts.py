"""A text generator as a function of strings."""

import json

import numpy as np

from keras_seq.export._compare_tokens import compare_tokens, target_time
from keras_seq.export._exported_function import ExportedFunction, rows_of_calls
from keras_seq.export._exported_generator import generate_latency
from keras_seq.export.report import ExportError
from keras_seq.generation._exportable import check_exportable
from keras_seq.layers._text import check_encodable


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
        if isinstance(texts, (list, tuple)):
            for i, text in enumerate(texts):
                if isinstance(text, str):
                    check_encodable(f"texts[{i}]", text)
        texts = _random_texts(model) if texts is None else texts
        self.inputs = {model.source_input: model.tokenize(texts)}
        self.texts = list(texts)
        parts = [self.texts[rows] for rows in rows_of_calls(len(self.texts))]
        self.calls = [{"texts": np.array(json.dumps(part))} for part in parts]

    def specs(self):
        return {"texts": ((None,), "string")}

    def __call__(self, texts):
        import tensorflow as tf

        generator = self.model.generator
        source = self._padded_ids(texts)  # (B, S)
        batch = tf.shape(source)[0]
        start = tf.fill((batch, 1), np.int32(generator.start_token))
        inputs = {self.model.source_input: tf.cast(source, "int32")}
        tokens, scores, _ = generator.decode(
            inputs, start, tf.ones((batch,), "int32"), 0, generator.max_length
        )
        tokens = tokens[:, 1:]
        ended = tf.reduce_any(tf.equal(tokens[..., None], generator.end_tokens), axis=-1)
        ahead = tf.equal(tf.cumsum(tf.cast(ended, "int32"), axis=1), 0)
        text = self.model.target_tokenizer.detokenize(tf.ragged.boolean_mask(tokens, ahead))
        return {"text": text, "tokens": tokens, "scores": scores}

    def _padded_ids(self, texts):
        """The ids (B, S) of texts, as `TextGenerator.tokenize` pads them."""
        import tensorflow as tf

        limit = self.model.source_length
        empty = tf.equal(tf.strings.length(tf.strings.strip(texts)), 0)
        checks = [tf.debugging.Assert(~tf.reduce_any(empty), ["texts must not be empty"])]
        ids = self.model.source_tokenizer(texts)
        if limit is not None:
            message = f"texts must have at most {limit} tokens each"
            fits = tf.reduce_all(ids.row_lengths() <= limit)
            checks.append(tf.debugging.Assert(fits, [message]))
        with tf.control_dependencies(checks):
            return ids.to_tensor(self.model.source_pad_token)

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

    def model_latency(self):
        ((name, ids),) = self.inputs.items()
        return generate_latency(self.model.generator, [{name: row[None]} for row in ids[:20]])


def _random_texts(text_generator, count=64):
    """Texts of random tokens that the tokenizer reads back as something within the limit."""
    rng = np.random.default_rng(0)
    tokenizer = text_generator.source_tokenizer
    size = tokenizer.vocabulary_size()
    limit = text_generator.source_length or 16
    rows = [rng.integers(4, size, size=1 + i % max(1, limit // 2)) for i in range(count)]
    texts = [str(tokenizer.detokenize([int(t) for t in row])) for row in rows]
    fitting = [t for t in texts if t.strip() and len(list(tokenizer([t])[0])) <= limit]
    if not fitting:
        raise ValueError("`texts` must be given: random ones do not fit this tokenizer.")
    return fitting
