"""`to_saved_model`: a text generator as a TensorFlow SavedModel, strings in, strings out."""

import dataclasses
import json
import pathlib
import tempfile

import numpy as np

from keras_seq.export._agreement import compared_report
from keras_seq.export._files import is_saved_model, written_beside
from keras_seq.export._process import run_worker
from keras_seq.export._requirements import check_tensorflow
from keras_seq.export.report import ExportError
from keras_seq.export.targets._tokenizers import named_apart
from keras_seq.generation._checks import check_exportable


def to_saved_model(text_generator, path, texts=None, atol=1e-3):
    """Export a text generator as a SavedModel for TensorFlow Serving.

    The signature `serving_default` takes `texts` (B,) strings and gives `text` (B,) strings,
    `tokens` (B, N) int32 and `scores` (B,) float32. Tokenizers, encoder and generation loop are
    inside. It runs without XLA, which TensorFlow Serving has off on a CPU. An empty text, or one
    longer than the text generator's `source_length`, is an error of the call.

    Before it is put in place it is run in a process of its own that imports TensorFlow and
    TensorFlow Text (the tokenizers' operators, built into TensorFlow Serving) and not keras_seq,
    and compared with the Keras model token for token.

    Args:
        text_generator: a `keras_seq.generation.TextGenerator`.
        path: of the folder, by custom `NAME/VERSION`. A SavedModel that stands there is replaced.
        texts: list of source strings to compare on; random texts from the source vocabulary if
            `None`.
        atol: largest difference of scores (natural logarithms) that is let pass.

    Returns:
        `ExportReport`.

    Raises:
        TypeError, ValueError: if `texts` are none that the text generator takes.
        ExportError: if the folder cannot be written, loaded or run, or does not agree with the
            model. Then no folder is left.

    Example:

    ```python
    import tempfile

    import keras_seq
    from keras_seq.data import train_tokenizer

    source = train_tokenizer(["one two"], kind="character", add_end=True)
    target = train_tokenizer(["eins zwei"], kind="character")
    model = keras_seq.models.seq2seq_rnn(source.vocabulary_size(), target.vocabulary_size(), 8, 16)
    generator = keras_seq.generation.Generator(model, max_length=6, start_token=2, end_token=3)
    translate = keras_seq.generation.TextGenerator(generator, source, target)
    with tempfile.TemporaryDirectory() as folder:
        print(keras_seq.export.to_saved_model(translate, f"{folder}/1", texts=["two", "one"]))
    ```
    """
    check_tensorflow("to_saved_model")
    check_exportable(text_generator.generator)
    if texts is None:
        texts = _random_texts(text_generator)
    text_generator.tokenize(texts)  # refuses what cannot be compared on, before any work
    with written_beside(path, is_saved_model) as folder:
        _write(text_generator, folder)
        report = verify_saved_model(text_generator, folder, texts, atol)
    return dataclasses.replace(report, path=str(path))


def verify_saved_model(text_generator, path, texts, atol):
    """Run a SavedModel in a process of its own and compare it with the text generator."""
    texts = list(texts)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "inputs.json").write_text(json.dumps(texts), encoding="utf-8")
        run_worker(
            "run_saved_model", path, folder / "inputs.json", folder / "outputs.npz", 20,
            what="run the SavedModel",
        )  # fmt: skip
        outputs = dict(np.load(folder / "outputs.npz"))
    inputs = {text_generator.source_input: text_generator.tokenize(texts)}
    report = compared_report(
        "SavedModel", path, outputs, text_generator.generator, inputs, None, atol
    )
    expected = text_generator.detokenize(outputs["tokens"])  # equal to the model's
    got = json.loads(str(outputs["text"]))
    if expected != got:
        row = next(i for i, (a, b) in enumerate(zip(expected, got, strict=True)) if a != b)
        raise ExportError(
            f"The SavedModel gives other text than the Keras model for {texts[row]!r}: "
            f"{got[row]!r} instead of {expected[row]!r}, from the same tokens."
        )
    return report


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
            source = ids.to_tensor(0)  # as `TextGenerator.tokenize` pads
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
    with named_apart(tokenizers):
        module = tf.Module()
        module.weights = [v.value for v in generator.model.variables]
        module.tokenizers = tokenizers
        module.serve = tf.function(serve, autograph=False)
        specs = tf.TensorSpec([None], tf.string, name="texts")
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
