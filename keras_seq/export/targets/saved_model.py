"""`to_saved_model`: a model, a generator or a text generator as a TensorFlow SavedModel."""

import contextlib

from keras_seq.export._exported_generator import ExportedGenerator, check_prompt_length
from keras_seq.export._exported_model import ExportedModel, check_functional
from keras_seq.export._exported_texts import ExportedTexts
from keras_seq.export._process import WORKERS, run_artifact
from keras_seq.export._requirements import check_tensorflow
from keras_seq.export._target import ExportTarget, export_to, register_target
from keras_seq.export.targets._tokenizers import separate_resource_names
from keras_seq.generation.generator import Generator
from keras_seq.generation.text_generator import TextGenerator
from keras_seq.layers.recurrent._engine import Form, recurrence_form

_SIGNATURE = "serving_default"
_TOLERANCE, _SCORE_TOLERANCE = 1e-5, 1e-3


def to_saved_model(
    model, path, *, texts=None, inputs=None, prompt_length=None, prompt=None, atol=None
):
    """Export a model, a generator or a text generator as a SavedModel for TensorFlow Serving.

    The signature `serving_default` takes and gives

    | of | inputs | outputs |
    |---|---|---|
    | a `TextGenerator` | `texts` (B,) strings | `text` (B,), `tokens` (B, N) int32, `scores` (B,) |
    | a `Generator` | its context by name, `prompt` (B, P), `seed` (2,) | `tokens`, `scores` |
    | a functional model | its inputs by name | its outputs by name |

    B, and every dimension that the model leaves open, are open. Of a `TextGenerator`, tokenizers,
    encoder and generation loop are inside, of a `Generator` the last two, with `tokens` as
    `Generator.generate` gives them. It runs without XLA, which TensorFlow Serving has off on a CPU.
    `seed`, of a sampler that draws, is that of `to_litert`. An empty text, or one longer than the
    text generator's `source_length`, is an error of the call.

    It is written to a temporary place and run in a process of its own that imports TensorFlow (for
    texts TensorFlow Text, too: the tokenizers' operators, built into TensorFlow Serving) and not
    keras_seq. Its outputs are compared with the Keras model's own call on whole sequences, without
    stepping or cache; the folder appears at `path` only if they agree.

    Args:
        model: a `keras_seq.generation.TextGenerator`, a `keras_seq.generation.Generator`, or a
            functional or built Sequential `keras.Model`.
        path: of the folder, by convention `NAME/VERSION`. A SavedModel that exists there is
            replaced; a symbolic link is followed.
        texts: of a text generator: list of source strings to compare on; random texts from the
            source vocabulary if `None`.
        inputs: of the others: arrays to compare on, a dict by name or one array; random ones if
            `None`.
        prompt_length: of a generator: P, the width of the prompt. `None`: the start token begins.
        prompt: of a generator: (N, P) prompts to compare on, random ones if `None`.
        atol: tolerance of scores (natural logarithms), 1e-3 if `None`; of a model's outputs,
            relative to an output's largest number where that is above 1, 1e-5 if `None`.

    Returns:
        `ExportReport`.

    Raises:
        TypeError: if `model` is none of the three.
        TypeError, ValueError: if an argument is for another kind of model, `prompt_length` is
            missing, or what is compared on does not fit.
        ExportError: if the folder cannot be written, loaded or run, or does not agree with the
            model. Then no folder is left.

    Example:

    ```python
    import keras
    import keras_seq
    from keras_seq.data import train_tokenizer

    source = train_tokenizer(["one two"], kind="character", add_end=True)
    target = train_tokenizer(["eins zwei"], kind="character")
    model = keras_seq.models.seq2seq_rnn(source.vocabulary_size(), target.vocabulary_size(), 8, 16)
    generator = keras_seq.generation.Generator(model, max_length=6, start_token=2, end_token=3)
    translate = keras_seq.generation.TextGenerator(generator, source, target)
    print(keras_seq.export.to_saved_model(translate, "translator/1", texts=["two", "one"]))

    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras_seq.layers.GRU(8)(keras.layers.Embedding(30, 8, mask_zero=True)(ids))
    classifier = keras.Model(ids, keras.layers.Dense(2, name="logits")(x))
    print(keras_seq.export.to_saved_model(classifier, "classifier/1"))
    ```
    """
    options = {
        "texts": texts,
        "inputs": inputs,
        "prompt_length": prompt_length,
        "prompt": prompt,
        "atol": atol,
    }
    return export_to(SavedModel(), model, path, **options)


class SavedModel(ExportTarget):
    """A TensorFlow SavedModel with one signature; see `to_saved_model`."""

    format = "SavedModel"

    def prepare(self, model, texts=None, inputs=None, prompt_length=None, prompt=None, atol=None):
        check_tensorflow("to_saved_model")
        kind = _kind(model)
        given = {"texts": texts, "inputs": inputs, "prompt_length": prompt_length, "prompt": prompt}
        _check_arguments(kind, model, given)
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
        if kind == "texts":
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
        module.weights = [v.value for v in _keras_model(exported.model).variables]
        module.tokenizers = _tokenizers(exported.model)
        module.serve = tf.function(exported.__call__, autograph=False)
        with _separate(module.tokenizers), recurrence_form(lambda layer: Form()):
            # Plain loops: the file must run where there is no GPU, too.
            signature = module.serve.get_concrete_function(**specs)
            tf.saved_model.save(module, str(path), signatures={_SIGNATURE: signature})

    def run(self, exported, path):
        return run_artifact(_RUN, path, exported.calls, what="run the SavedModel")


_RUN = WORKERS / "run_saved_model.py"
register_target("saved_model", SavedModel())


def _kind(model):
    """What is exported: "texts", a "generator" or a "model"."""
    if isinstance(model, TextGenerator):
        return "texts"
    if isinstance(model, Generator):
        return "generator"
    check_functional(model)
    return "model"


def _check_arguments(kind, model, given):
    allowed = {
        "texts": {"texts"},
        "generator": {"inputs", "prompt_length", "prompt"},
        "model": {"inputs"},
    }[kind]
    for name, value in given.items():
        if value is not None and name not in allowed:
            raise ValueError(
                f"`{name}` of to_saved_model is not for a {type(model).__name__}, which takes "
                f"{sorted(allowed)}. Received: {name}={value!r}"
            )


def _keras_model(model):
    """The Keras model whose weights the SavedModel has."""
    if isinstance(model, TextGenerator):
        model = model.generator
    return model.model if isinstance(model, Generator) else model


def _tokenizers(model):
    if not isinstance(model, TextGenerator):
        return []
    return [model.source_tokenizer, model.target_tokenizer]


def _separate(tokenizers):
    return separate_resource_names(tokenizers) if tokenizers else contextlib.nullcontext()
