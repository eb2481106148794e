"""What the examples' models become by each export: size, seconds, latency and metric, one table.

    python examples/translate.py && python examples/translate.py --model transformer
    python examples/translate.py --dataset PATH/TO/multi30k --source en --target de
    python examples/forecast.py --dataset PATH/TO/ETTh1.csv
    python examples/sentiment.py --data-dir PATH/TO/tfds
    python examples/vision_transformer.py --data-dir PATH/TO/tfds      # and --dataset fashion_mnist
    python benchmarks/exports.py --data-dir PATH/TO/tfds --multi30k PATH/TO/multi30k \
        --etth1 PATH/TO/ETTh1.csv

`--tasks` names some of the models. Each is exported by the public functions of `keras_seq.export`,
which compare what they write with the Keras model on eight examples; "seconds" are those of one
such call. Then the first `--examples` of the test split are given to all artifacts and to the Keras
model, one example a call, alternately and in this process, on one thread: the metric is that of
their outputs, "ms" the median of the first `--timed` calls. Translators search greedily and are
timed from ids to ids; a SavedModel begins with strings where it carries a tokenizer. The Keras
model is `Generator.generate` (compiled by XLA) or `predict_on_batch`. "Smaller" is: than the same
runtime's float32 file.

Full int8 ("LiteRT int8") is not for loops and masked attention, see `to_litert`: there is none of
the translators and of the IMDB models. It is exported with `atol=100`, the others with the default.
"""

import argparse
import dataclasses
import itertools
import json
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import ctranslate2
import keras
import numpy as np
import onnxruntime
import sacrebleu
import tensorflow as tf
import tensorflow_datasets as tfds
from ai_edge_litert.interpreter import Interpreter
from host import describe_host

import keras_seq
from keras_seq import export
from keras_seq.classification import TextClassifier
from keras_seq.generation import Generator, TextGenerator
from keras_seq.runtime import LiteRTGenerator

COMPARED = 8  # examples in an export
MEASURED = 200  # from which full int8 takes the ranges of activations


@dataclasses.dataclass
class Task:
    """A trained model with examples of its test split.

    Attributes:
        title: of the model, in the table.
        examples: list of `(text, array of one row)`; what takes no text ignores it.
        keras: function of an example.
        writers: dict from a target's name to a function of a path, which gives an `ExportReport`.
        loaders: dict from a runtime, the first word of a target's name, to a function of a path,
            which gives a function of an example.
        metric: name of what `score` gives.
        score: function of the list of the outputs of all examples.
    """

    title: str
    examples: list
    keras: Callable
    writers: dict
    loaders: dict
    metric: str
    score: Callable


# What each kind of model is exported to, and how the artifacts are called.


def translator_task(title, translate, sources, metric, score):
    """A `TextGenerator`; the outputs are ids (1, T), `score` is given the texts."""
    generator, name = translate.generator, translate.source_input
    texts, ids = sources[:COMPARED], translate.tokenize(sources[:COMPARED])

    def run(example):
        return keras.ops.convert_to_numpy(generator.generate({name: example[1]}).tokens)

    def load_litert(path):
        file = LiteRTGenerator(path)
        return lambda example: file.generate({name: example[1]})[0]

    def load_ctranslate2(path):
        runtime = ctranslate2.Translator(path, device="cpu", inter_threads=1, intra_threads=1)
        options = json.loads(pathlib.Path(path, "keras_seq.json").read_text())["options"]

        def call(example):
            row = [str(i) for i in example[1][0] if i != translate.source_pad_token]
            tokens = runtime.translate_batch([row], **options)[0].hypotheses[0]
            return np.int32([[int(token) for token in tokens]])

        return call

    writers = saved_model_writer(translate, texts=texts) | litert_writers(translate, texts)
    loaders = {"SavedModel": saved_model_loader("texts", "tokens"), "LiteRT": load_litert}
    decoder = keras_seq.layers.TransformerDecoderBlock
    if any(isinstance(layer, decoder) for layer in generator.model.layers):
        writers |= other_writers("CTranslate2", export.to_ctranslate2, generator, ids)
        loaders["CTranslate2"] = load_ctranslate2
    examples = [(source, translate.tokenize([source])) for source in sources]

    def score_ids(outputs):
        return score([translate.detokenize(each)[0] for each in outputs])

    return Task(title, examples, run, writers, loaders, metric, score_ids)


def model_task(title, model, examples, metric, score, classifier=None, measured=None):
    """A functional model of one input and one output; the SavedModel is of `classifier`, if any."""
    (name,) = (tensor.name for tensor in model.inputs)
    (output,) = model.output_names
    texts = [text for text, _ in examples[:COMPARED]]
    if classifier is None:
        inputs = np.concatenate([row for _, row in examples[:COMPARED]])
        writers = saved_model_writer(model, inputs=inputs)
        loaders = {"SavedModel": saved_model_loader(name, output)}
    else:
        inputs = classifier.tokenize(texts)
        writers = saved_model_writer(classifier, texts=texts)
        loaders = {"SavedModel": saved_model_loader("texts", "probabilities")}

    def load_litert(path):
        run = Interpreter(model_path=path, num_threads=1).get_signature_runner("serve")
        return lambda example: run(**{name: example[1]})[output]

    def load_onnx(path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options)
        return lambda example: session.run([output], {name: example[1]})[0]

    writers |= litert_writers(model, inputs, measured) | other_writers(
        "ONNX", export.to_onnx, model, inputs
    )
    loaders |= {"LiteRT": load_litert, "ONNX": load_onnx}

    def run(example):
        return model.predict_on_batch(example[1])

    return Task(title, examples, run, writers, loaders, metric, score)


def saved_model_writer(model, **compared):
    return {"SavedModel": lambda path: export.to_saved_model(model, path, **compared)}


def saved_model_loader(name, output):
    def load(path):
        serve = tf.saved_model.load(path).signatures["serving_default"]

        def call(example):
            value = tf.constant([example[0]] if name == "texts" else example[1])
            return serve(**{name: value})[output].numpy()

        return call

    return load


def litert_writers(model, inputs, measured=None):
    """The LiteRT files, that of full int8 if there are rows to measure ranges on."""

    def writer(**options):
        return lambda path: export.to_litert(model, path, inputs=inputs, **options)

    writers = {
        "LiteRT": writer(),
        "LiteRT float16": writer(quantize="float16"),
        "LiteRT dynamic int8": writer(quantize="dynamic_int8"),
    }
    if measured is not None:  # how good it is says the metric alone
        full = {"representative_data": measured, "atol": 100.0}
        writers["LiteRT int8"] = writer(quantize="int8", **full)
    return writers


def other_writers(runtime, to, model, inputs):
    """Of a runtime with float32 and int8."""
    return {
        f"{runtime} {kind or ''}".strip(): lambda path, kind=kind: to(
            model, path, inputs=inputs, quantization=kind
        )
        for kind in (None, "int8")
    }


# The models: folders that the examples write.


def dates(options, folder):
    data = keras_seq.data.translation("date_translation", data_dir=options.data_dir)
    sources, targets = (texts[: options.examples] for texts in data.texts["test"])
    translate = TextGenerator.load(folder / "translator.keras_seq")

    def exact(outputs):
        return 100 * np.mean(np.array(outputs) == targets)

    kind = "Transformer" if "transformer" in folder.name else "recurrent"
    return translator_task(f"dates, {kind}", translate, sources, "% exact", exact)


def multi30k(options, folder):
    sources, targets = (
        pathlib.Path(options.multi30k, f"{language}.test.txt").read_text("utf-8").splitlines()
        for language in ("en", "de")
    )
    targets = targets[: options.examples]
    translate = greedy(TextGenerator.load(folder / "translator.keras_seq"))

    def bleu(outputs):
        return sacrebleu.BLEU().corpus_score(outputs, [targets]).score

    title = "Multi30k en-de, Transformer"
    return translator_task(title, translate, sources[: options.examples], "BLEU", bleu)


def greedy(translate):
    """The same `TextGenerator`, with greedy search."""
    g, tokenizers = translate.generator, (translate.source_tokenizer, translate.target_tokenizer)
    generator = Generator(g.model, g.max_length, g.start_token, list(map(int, g.end_tokens)))
    limits = {"source_length": translate.source_length, "unknown": "ignore"}
    return TextGenerator(generator, *tokenizers, **limits)


def sentiment(options, folder, cell):
    read = {"vocabulary_size": 8000, "lowercase": True, "sequence_length": 600}  # as the example
    data = keras_seq.data.classification(
        "imdb_reviews", data_dir=options.data_dir, too_long="keep_last", **read
    )
    test = tfds.load("imdb_reviews", split="test", data_dir=options.data_dir, as_supervised=True)
    texts, labels = zip(*test.take(options.examples).as_numpy_iterator(), strict=True)
    model = keras.models.load_model(folder / f"{cell}.keras")
    limits = {"sequence_length": data.sequence_length, "too_long": "keep_last"}
    classifier = TextClassifier(model, data.tokenizer, data.class_names, **limits)
    examples = [(text, classifier.tokenize([text])) for text in map(bytes.decode, texts)]
    title = f"IMDB, {'GRU' if cell == 'gru' else 'Transformer'}"
    return model_task(title, model, examples, "% right", accuracy(labels), classifier)


def forecast(options, folder):
    splits = (8640, 2880, 2880)
    data = keras_seq.data.series(options.etth1, past=336, future=96, splits=splits)
    x, y = rows_of(data.test, None)
    # Windows that follow each other are nearly equal: some of the whole split.
    chosen = np.linspace(0, len(x) - 1, min(options.examples, len(x))).astype(int)
    best = json.loads((folder / "figures.json").read_text())["best"]
    model = keras.models.load_model(folder / f"{best}.keras")

    def error(outputs):
        return np.mean(np.square(np.concatenate(outputs) - y[chosen]))

    examples = [(None, x[i : i + 1]) for i in chosen]
    measured, _ = rows_of(data.validation, MEASURED)
    title = f"ETTh1, {best.capitalize()}"
    return model_task(title, model, examples, "MSE", error, measured=measured)


def vision_transformer(options, folder):
    dataset = "fashion_mnist" if "fashion" in folder.name else "mnist"
    data = keras_seq.data.images(dataset, data_dir=options.data_dir)
    images, labels = rows_of(data.test, options.examples)
    model = keras.models.load_model(folder / "model.keras")
    examples = [(None, image[None]) for image in images]
    measured, _ = rows_of(data.validation, MEASURED)
    title, right = f"{dataset}, ViT", accuracy(labels)
    return model_task(title, model, examples, "% right", right, measured=measured)


def accuracy(labels):
    return lambda outputs: 100 * np.mean(np.concatenate(outputs).argmax(axis=-1) == labels)


def rows_of(batches, count):
    """The first rows of a dataset of batches `(inputs, targets)`."""
    rows = itertools.islice(batches.unbatch().as_numpy_iterator(), count)
    return map(np.stack, zip(*rows, strict=True))


TASKS = {
    "dates": dates,
    "dates_transformer": dates,
    "multi30k_en_de_transformer": multi30k,
    "sentiment gru": sentiment,
    "sentiment transformer": sentiment,
    "forecast": forecast,
    "vision_transformer": vision_transformer,
    "vision_transformer_fashion_mnist": vision_transformer,
}


def make_task(options, name):
    folder, *cell = name.split()
    return TASKS[name](options, options.models / folder, *cell)


# The table.


def export_all(task, folder):
    """`(reports, seconds, paths)`, dicts by target."""
    reports, seconds, paths = {}, {}, {}
    for target, write in task.writers.items():
        paths[target] = f"{folder}/{task.title}/{target}"
        pathlib.Path(paths[target]).parent.mkdir(exist_ok=True)
        began = time.perf_counter()
        reports[target] = write(paths[target])
        seconds[target] = time.perf_counter() - began
        print(f"{task.title}, {target}: {seconds[target]:.1f} s", file=sys.stderr, flush=True)
    return reports, seconds, paths


class Runs:
    """The Keras model and the artifacts of a task, called with one example after the other."""

    def __init__(self, task, paths):
        self.task = task
        self.runs = {"Keras": task.keras}
        for target, path in paths.items():
            self.runs[target] = task.loaders[target.split()[0]](path)
        self.outputs = {target: [] for target in self.runs}
        self.times = {target: [] for target in self.runs}

    def call(self, examples):
        for example in examples:
            for target, run in self.runs.items():
                began = time.perf_counter()
                self.outputs[target].append(run(example))
                self.times[target].append(time.perf_counter() - began)

    def milliseconds(self):
        """Dict from target to the median so far."""
        return {target: 1e3 * np.median(times) for target, times in self.times.items()}

    def metrics(self):
        return {target: self.task.score(outputs) for target, outputs in self.outputs.items()}


def table_rows(task, reports, seconds, metrics, ms):
    """Lists of cells."""
    title = f"{task.title}, {len(task.examples)} examples"
    digits = 4 if task.metric == "MSE" else 2
    for target in ms:
        size, smaller, spent = "", "", ""
        if target in reports:
            size = f"{reports[target].size / 1e6:.2f}"
            ratio = reports[target.split()[0]].size / reports[target].size
            smaller = f"{ratio:.1f}x" if " " in target else ""
            spent = f"{seconds[target]:.1f}"
        speed = f"{ms['Keras'] / ms[target]:.2f}x"
        metric = f"{metrics[target]:.{digits}f} {task.metric}"
        yield title, target, size, smaller, spent, f"{ms[target]:.2f}", speed, metric
        title = ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=pathlib.Path, default="saved_models")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--examples", type=int, default=1000, help="that the metric is of")
    parser.add_argument("--timed", type=int, default=100, help="of them, the first")
    parser.add_argument("--data-dir", help="where TensorFlow Datasets keeps its datasets")
    parser.add_argument("--multi30k", help="a folder with en.test.txt and de.test.txt")
    parser.add_argument("--etth1", help="ETTh1.csv")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        tasks = [make_task(options, name) for name in options.tasks]
        exported = [export_all(task, folder) for task in tasks]
        print("Measuring ...", file=sys.stderr, flush=True)
        runs = [Runs(task, paths) for task, (*_, paths) in zip(tasks, exported, strict=True)]
        for task, each in zip(tasks, runs, strict=True):
            each.call(task.examples[: options.timed])
        print(f"{describe_host()}, one of them used\n", flush=True)
        print("Scoring ...", file=sys.stderr, flush=True)
        heads = ("model", "target", "MB", "smaller", "seconds", "ms", "speed", "metric")
        print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
        for task, (reports, seconds, _), each in zip(tasks, exported, runs, strict=True):
            ms = each.milliseconds()
            each.call(task.examples[options.timed :])
            for cells in table_rows(task, reports, seconds, each.metrics(), ms):
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
