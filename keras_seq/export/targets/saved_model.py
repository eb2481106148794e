"""`to_saved_model`: a text generator as a TensorFlow SavedModel, strings in, strings out."""

import json

import numpy as np

from keras_seq.export._compare_tokens import compare_tokens, target_time
from keras_seq.export._exported_function import ExportedFunction
from keras_seq.export._exported_generator import generate_latency
from keras_seq.export._process import WORKERS, run_artifact
from keras_seq.export._requirements import check_tensorflow
from keras_seq.export._target import ExportTarget, export_to, register_target
from keras_seq.export.report import ExportError
from keras_seq.export.targets._tokenizers import separate_resource_names
from keras_seq.generation._exportable import check_exportable
from keras_seq.generation._text import check_encodable
from keras_seq.generation.text_generator import TextGenerator
from keras_seq.layers.recurrent._engine import Form, recurrence_form


def to_saved_model(text_generator, path, *, texts=None, atol=1e-3):
    """Export a text generator as a SavedModel for TensorFlow Serving.

    The signature `serving_default` takes `texts` (B,) strings and gives `text` (B,) strings,
    `tokens` (B, N) int32 and `scores` (B,) float32. Tokenizers, encoder and generation loop are
    inside. It runs without XLA, which TensorFlow Serving has off on a CPU. An empty text, or one
    longer than the text generator's `source_length`, is an error of the call.

    It is written to a temporary place and run in a process of its own that imports TensorFlow and
    TensorFlow Text (the tokenizers' operators, built into TensorFlow Serving) and not keras_seq.
    Its tokens and scores are compared with the Keras model's own call on whole sequences, without
    stepping or cache; the folder appears at `path` only if they agree.

    Args:
        text_generator: a `keras_seq.generation.TextGenerator`.
        path: of the folder, by convention `NAME/VERSION`. A SavedModel that exists there is
            replaced; a symbolic link is followed.
        texts: list of source strings to compare on; random texts from the source vocabulary if
            `None`.
        atol: tolerance of scores (natural logarithms).

    Returns:
        `ExportReport`.

    Raises:
        TypeError: if it is given no `TextGenerator`.
        TypeError, ValueError: if `texts` are none that the text generator takes.
        ExportError: if the folder cannot be written, loaded or run, or does not agree with the
            model. Then no folder is left.

    Example:

    ```python
    import keras_seq
    from keras_seq.data import train_tokenizer

    source = train_tokenizer(["one two"], kind="character", add_end=True)
    target = train_tokenizer(["eins zwei"], kind="character")
    model = keras_seq.models.seq2seq_rnn(source.vocabulary_size(), target.vocabulary_size(), 8, 16)
    generator = keras_seq.generation.Generator(model, max_length=6, start_token=2, end_token=3)
    translate = keras_seq.generation.TextGenerator(generator, source, target)
    print(keras_seq.export.to_saved_model(translate, "translator/1", texts=["two", "one"]))
    ```
    """
    return export_to(SavedModel(), text_generator, path, texts=texts, atol=atol)


class ExportedTexts(ExportedFunction):
    """A text generator: strings in; text, tokens and scores out.

    Args:
        model: a `keras_seq.generation.TextGenerator`.
        texts: list of strings to compare on; random ones if `None`.
        atol: tolerance of scores.
    """

    signature = "serving_default"

    def __init__(self, model, texts, atol):
        super().__init__(model, atol)
        check_exportable(model.generator)
        target_time(model.generator, 1)
        if isinstance(texts, (list, tuple)):
            for i, text in enumerate(texts):
                if isinstance(text, str):
                    check_encodable(f"texts[{i}]", text)
        texts = _random_texts(model) if texts is None else texts
        self.inputs = {model.source_input: model.tokenize(texts)}
        self.texts = list(texts)
        self.calls = [{"texts": np.array(json.dumps(self.texts))}]

    def compare(self, what, outputs):
        (output,) = outputs
        arguments = (self.model.generator, self.inputs, None, output["tokens"], output["scores"])
        result = compare_tokens(what, *arguments, self.atol)
        expected = self.model.detokenize(output["tokens"])
        got = json.loads(str(output["text"]))
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


class SavedModel(ExportTarget):
    """A TensorFlow SavedModel of a text generator; see `to_saved_model`."""

    format = "SavedModel"

    def prepare(self, model, texts=None, atol=1e-3):
        check_tensorflow("to_saved_model")
        if not isinstance(model, TextGenerator):
            raise TypeError(
                "`text_generator` of to_saved_model must be a keras_seq.generation.TextGenerator. "
                f"Received: {type(model).__name__}. Put tokenizers around a Generator with it; a "
                "keras.Model has an `export` method of its own."
            )
        return ExportedTexts(model, texts, atol)

    def prepare_existing(self, path, model, inputs=None, atol=1e-3):
        return self.prepare(model, inputs, atol)

    def recognizes(self, path):
        """Another SavedModel, or an empty folder."""
        if not path.is_dir():
            return False
        return (path / "saved_model.pb").exists() or not any(path.iterdir())

    def write(self, exported, path):
        _write(exported.model, path)

    def run(self, exported, path):
        script = WORKERS / "run_saved_model.py"
        return run_artifact(script, path, exported.calls, what="run the SavedModel")


register_target("saved_model", SavedModel())


def _write(text_generator, folder):
    import tensorflow as tf

    generator = text_generator.generator
    limit = text_generator.source_length

    def serve(texts):
        empty = tf.equal(tf.strings.length(tf.strings.strip(texts)), 0)
        checks = [tf.debugging.Assert(~tf.reduce_any(empty), ["texts must not be empty"])]
        ids = text_generator.source_tokenizer(texts)
        if limit is not None:
            message = f"texts must have at most {limit} tokens each"
            fits = tf.reduce_all(ids.row_lengths() <= limit)
            checks.append(tf.debugging.Assert(fits, [message]))
        with tf.control_dependencies(checks):
            source = ids.to_tensor(
                text_generator.source_pad_token
            )  # as `TextGenerator.tokenize` pads
        batch = tf.shape(source)[0]
        start = tf.fill((batch, 1), np.int32(generator.start_token))
        inputs = {text_generator.source_input: tf.cast(source, "int32")}
        tokens, scores, _ = generator.decode(
            inputs, start, tf.ones((batch,), "int32"), 0, generator.max_length
        )
        tokens = tokens[:, 1:]
        ended = tf.reduce_any(tf.equal(tokens[..., None], generator.end_tokens), axis=-1)
        ahead = tf.equal(tf.cumsum(tf.cast(ended, "int32"), axis=1), 0)
        text = text_generator.target_tokenizer.detokenize(tf.ragged.boolean_mask(tokens, ahead))
        return {"text": text, "tokens": tokens, "scores": scores}

    tokenizers = [text_generator.source_tokenizer, text_generator.target_tokenizer]
    with separate_resource_names(tokenizers):
        module = tf.Module()
        module.weights = [v.value for v in generator.model.variables]
        module.tokenizers = tokenizers
        module.serve = tf.function(serve, autograph=False)
        specs = tf.TensorSpec([None], tf.string, name="texts")
        with recurrence_form(lambda layer: Form()):  # the file must run where there is no GPU, too
            signature = module.serve.get_concrete_function(specs)
        tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})


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
