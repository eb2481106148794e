"""`to_saved_model`: a model, a generator, or what reads texts, as a TensorFlow SavedModel."""

import contextlib

from keras_seq.classification import TextClassifier, TextTagger
from keras_seq.export._digest import (
    LIST_OF_SAVED_MODEL,
    add_folder_digests,
    check_folder_digests,
)
from keras_seq.export._exported_classifier import ExportedClassifier, ExportedTagger
from keras_seq.export._exported_generator import ExportedGenerator, check_prompt_length
from keras_seq.export._exported_model import ExportedModel, check_functional
from keras_seq.export._exported_texts import ExportedTexts
from keras_seq.export._process import WORKERS, ArtifactRun, run_artifact
from keras_seq.export._requirements import check_tensorflow
from keras_seq.export._target import ExportTarget, export_to, register_target
from keras_seq.export.targets._tokenizers import separate_resource_names
from keras_seq.generation.generator import Generator
from keras_seq.generation.text_generator import TextGenerator
from keras_seq.layers.recurrent._engine import Form, recurrence_form

_SIGNATURE, _XLA_SIGNATURE = "serving_default", "serving_xla"
_TOLERANCE, _SCORE_TOLERANCE = 1e-5, 1e-3


def to_saved_model(
    model,
    path,
    *,
    texts=None,
    inputs=None,
    prompt_length=None,
    prompt=None,
    atol=None,
    jit_compile=False,
):
    """Export a model, a generator, a text generator or classifier for TensorFlow Serving.

    The signature `serving_default` takes and gives

    | of | inputs | outputs |
    |---|---|---|
    | a `TextGenerator` | `texts` (B,) strings | `text` (B,), `tokens` (B, N) int32, `scores` (B,) |
    | a `TextClassifier` | `texts` (B,) strings | `probabilities` (B, C), `classes` (B,) strings |
    | a `TextTagger` | `texts` (B,) strings | `probabilities` (B, T, C), `classes` (B, T) strings |
    | a `Generator` | its context by name, `prompt` (B, P), `seed` (2,) | `tokens`, `scores` |
    | a functional model | its inputs by name | its outputs by name |

    B, and every dimension that the model leaves open, are open. Of a `TextGenerator`, tokenizers,
    encoder and generation loop are inside, of a `Generator` the last two, with `tokens` as
    `Generator.generate` gives them; of a `TextClassifier` or `TextTagger` its tokenizer, model and
    class names. What a tagger gives is padded on the right, with 0 and empty strings.
    `seed`, of a sampler that draws, is that of `to_litert`. An empty text is an error of the call,
    and so is one longer than the text generator's `source_length`, or than the classifier's
    `sequence_length` where its `too_long` is `"error"`; else it is cut as the classifier cuts it.

    `serving_default` runs without XLA, which TensorFlow Serving has off on a CPU (there a function
    that demands it fails, unless the server is started with `--xla_cpu_compilation_enabled`). With
    `jit_compile=True` there is also `serving_xla`, the same function of the same weights compiled
    by XLA: a client chooses by the name, and every server can run the file. It compiles once for
    each shape, at the first call; texts are padded to few widths for that.

    It is written to a temporary place and run in a process of its own that imports TensorFlow (for
    texts TensorFlow Text, too: the tokenizers' operators, built into TensorFlow Serving) and not
    keras_seq. Its outputs are compared with the Keras model's own call on whole sequences, without
    stepping or cache; the folder appears at `path` only if they agree.

    Args:
        model: a `keras_seq.generation.TextGenerator` or `Generator`, a
            `keras_seq.classification.TextClassifier` or `TextTagger`, or a functional or built
            Sequential `keras.Model`.
        path: of the folder, by convention `NAME/VERSION`. A SavedModel that exists there is
            replaced; a symbolic link is followed.
        texts: of what takes texts: list of strings to compare on; random texts from the tokenizer's
            vocabulary if `None`, one of a single token and one of as many as are allowed among
            them.
        inputs: of the others: arrays to compare on, a dict by name or one array; random ones if
            `None`, of a model also a single step, the most that it has positions for, and a row
            that is padding but for its first id.
        prompt_length: of a generator: P, the width of the prompt. `None`: the start token begins.
        prompt: of a generator: (N, P) prompts to compare on, random ones if `None`.
        atol: tolerance of scores (natural logarithms), 1e-3 if `None`; of a model's outputs,
            relative to an output's largest number where that is above 1, or of a classifier's
            probabilities, 1e-5 if `None`.
        jit_compile: whether to add `serving_xla`. It is compared and timed, too: `xla_latency` of
            the report.

    Returns:
        `ExportReport`.

    Raises:
        TypeError: if `model` is none of these, or its tokenizer is Python code.
        TypeError, ValueError: if an argument is for another kind of model, `prompt_length` is
            missing, or what is compared on does not fit.
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

    tokenizer = train_tokenizer(["a fine film", "a dull film"], kind="word")
    model = keras_seq.models.sequence_classifier(2, tokenizer.vocabulary_size(), hidden_dim=8)
    classify = keras_seq.classification.TextClassifier(model, tokenizer, ["bad", "good"])
    print(keras_seq.export.to_saved_model(classify, "classifier/1"))
    ```
    """
    options = {
        "texts": texts,
        "inputs": inputs,
        "prompt_length": prompt_length,
        "prompt": prompt,
        "atol": atol,
        "jit_compile": jit_compile,
    }
    return export_to(SavedModel(), model, path, **options)


class SavedModel(ExportTarget):
    """A TensorFlow SavedModel with one signature or two; see `to_saved_model`."""

    format = "SavedModel"

    def prepare(
        self,
        model,
        texts=None,
        inputs=None,
        prompt_length=None,
        prompt=None,
        atol=None,
        jit_compile=False,
    ):
        exported = self._prepared(model, texts, inputs, prompt_length, prompt, atol)
        exported.options = {"jit_compile": jit_compile}
        return exported

    def _prepared(self, model, texts, inputs, prompt_length, prompt, atol):
        check_tensorflow("to_saved_model")
        kind = _kind(model)
        given = {"texts": texts, "inputs": inputs, "prompt_length": prompt_length, "prompt": prompt}
        _check_arguments(kind, model, given)
        if kind == "classifier":
            exported = ExportedTagger if isinstance(model, TextTagger) else ExportedClassifier
            return exported(model, texts, _TOLERANCE if atol is None else atol)
        if kind == "texts":
            return ExportedTexts(model, texts, _SCORE_TOLERANCE if atol is None else atol)
        if kind == "model":
            return ExportedModel(model, inputs, _TOLERANCE if atol is None else atol)
        check_prompt_length("to_saved_model", model, prompt_length, prompt)
        atol = _SCORE_TOLERANCE if atol is None else atol
        return ExportedGenerator(model, None, prompt_length, None, inputs, prompt, atol)

    def prepare_existing(self, path, model, inputs=None, prompt=None, atol=None):
        check_tensorflow("to_saved_model")
        kind, length = _kind(model), None
        if kind in ("texts", "classifier"):
            return self.prepare(model, texts=inputs, atol=atol)
        if kind == "generator":
            facts = run_artifact(_RUN, path, [], what="read the SavedModel").facts
            length = facts["inputs"].get("prompt", [None, None])[1]
        return self.prepare(model, inputs=inputs, prompt_length=length, prompt=prompt, atol=atol)

    def recognizes(self, path):
        """Another SavedModel, or an empty folder."""
        if not path.is_dir():
            return False
        return (path / "saved_model.pb").exists() or not any(path.iterdir())

    def write(self, exported, path):
        import tensorflow as tf

        specs = {
            name: tf.TensorSpec(shape, dtype, name)
            for name, (shape, dtype) in exported.specs().items()
        }
        module = tf.Module()
        module.weights = [v.value for v in exported.keras_model.variables]
        module.tokenizers = exported.tokenizers
        module.serve = tf.function(exported.__call__, autograph=False)
        with _separate(exported.tokenizers), recurrence_form(lambda layer: Form()):
            # Plain loops: the file must run where there is no GPU, too.
            signatures = {_SIGNATURE: module.serve.get_concrete_function(**specs)}
            if exported.options["jit_compile"]:
                module.serve_xla = tf.function(exported.jit_compiled(), autograph=False)
                signatures[_XLA_SIGNATURE] = module.serve_xla.get_concrete_function(**specs)
            tf.saved_model.save(module, str(path), signatures=signatures)

    def add_digest(self, path):
        add_folder_digests(path, LIST_OF_SAVED_MODEL)

    def check_digest(self, path):
        check_folder_digests(path, LIST_OF_SAVED_MODEL)

    def run(self, exported, path):
        outputs, facts = run_artifact(_RUN, path, exported.calls, what="run the SavedModel")
        compiled = [_without_prefix(output, f"{_XLA_SIGNATURE}/") for output in outputs]
        if any(compiled):
            exported.compare(f"The signature {_XLA_SIGNATURE} of the SavedModel", compiled)
        return ArtifactRun(outputs, facts)


_RUN = WORKERS / "run_saved_model.py"
register_target("saved_model", SavedModel())


def _kind(model):
    """What is exported: "texts", a "classifier", a "generator" or a "model"."""
    if isinstance(model, TextGenerator):
        return "texts"
    if isinstance(model, (TextClassifier, TextTagger)):
        return "classifier"
    if isinstance(model, Generator):
        return "generator"
    check_functional(model)
    return "model"


def _check_arguments(kind, model, given):
    allowed = {
        "texts": {"texts"},
        "classifier": {"texts"},
        "generator": {"inputs", "prompt_length", "prompt"},
        "model": {"inputs"},
    }[kind]
    for name, value in given.items():
        if value is not None and name not in allowed:
            raise ValueError(
                f"`{name}` of to_saved_model is not for a {type(model).__name__}, which takes "
                f"{sorted(allowed)}. Received: {name}={value!r}"
            )


def _without_prefix(output, prefix):
    """The arrays of a dict whose names begin with a prefix."""
    return {n.removeprefix(prefix): value for n, value in output.items() if n.startswith(prefix)}


def _separate(tokenizers):
    return separate_resource_names(tokenizers) if tokenizers else contextlib.nullcontext()
