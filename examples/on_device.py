"""A forecaster and a writer for a device: trained here, then run by LiteRT and NumPy alone.

    python examples/on_device.py                          # a made-up series, and Shakespeare
    python examples/on_device.py --series PATH/TO/ETTh1.csv --dataset MY_TEXT.txt
    python examples/on_device.py --prompt "ROMEO:"        # writes with what was trained
    python examples/on_device.py --quick                  # seconds, on data made up here

The forecaster, an LSTM, reads an observation and forecasts the next ones after each:
`keras_seq.runtime.LiteRTStream` keeps its state between the steps, and its outputs are compared
with the Keras model's own call on the whole sequence. The writer, a language model of a GRU, goes
on from a prompt, character by character; its file carries the tokenizer and has the loop in two
forms, whole and step by step, on the same weights.

What runs on the device is in `observe` and `write`: they use neither TensorFlow nor Keras.
"""

import experiment  # isort: skip  (before Keras)

import time

import keras
import numpy as np
import tensorflow as tf

import keras_seq
from keras_seq.generation import Generator, TextGenerator
from keras_seq.runtime import LiteRTGenerator, LiteRTStream

QUICK = {"epochs": 1, "steps": 60, "past": 24, "future": 6, "hidden_dim": 32, "characters": 40}
PROMPT_LENGTH = 32


def arguments(add):
    add("--series", help="a CSV file with a column of times and columns of numbers")
    add("--past", type=int, default=96, help="observations that the forecaster is trained on")
    add("--future", type=int, default=24, help="observations that it forecasts")
    add("--hidden-dim", type=int, default=256, help="units of the language model")
    add("--steps", type=int, default=400, help="of an epoch of the language model")
    add("--prompt", default="The ", help="what the texts begin with")
    add("--characters", type=int, default=200, help="how many to write")


def made_up_series(hours=2000):
    """Three columns: days and weeks, and noise."""
    t, rng = np.arange(hours)[:, None], np.random.default_rng(0)
    waves = np.sin(2 * np.pi * (t / 24 + [0, 0.2, 0.5])) + 0.5 * np.cos(2 * np.pi * t / 168)
    return waves + 0.2 * rng.normal(size=(hours, 3))


def made_up_text(sentences=500):
    """Lines such as "The cat sees a bird."."""
    rng = np.random.default_rng(0)
    parts = ("The", "A"), ("cat", "dog", "king"), ("sees", "hears"), ("the", "a"), ("bird", "queen")
    lines = zip(*(rng.choice(words, sentences) for words in parts), strict=True)
    return "".join(" ".join(line) + ".\n" for line in lines)


def train_forecaster(options):
    data = keras_seq.data.series(
        options.series or made_up_series(),
        past=options.past,
        future=options.future,
        splits=(0.7, 0.1, 0.2),
        every_step=True,
        stride=4,
        batch_size=16,
        seed=options.seed,
    )
    sizes = options.past, options.future, len(data.columns)
    model = keras_seq.models.forecaster(*sizes, "lstm", True, num_layers=1)
    model.compile(keras.optimizers.Adam(5e-3, clipnorm=1.0), "mse")
    experiment.train(options, model, data.train, data.validation, name="forecaster")
    return data, model


def train_writer(options):
    made_up = {"train": tf.data.Dataset.from_tensors({"text": made_up_text()})}
    data = keras_seq.data.language_model(
        options.dataset or made_up,
        data_dir=options.data_dir,
        sequence_length=64,
        batch_size=options.batch_size,
        seed=options.seed,
    )
    sizes = {"embedding_dim": 64, "hidden_dim": options.hidden_dim}
    model = keras_seq.models.language_model(data.vocabulary_size, "gru", **sizes)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(options.learning_rate, global_clipnorm=1.0), loss)
    steps = {"steps_per_epoch": options.steps}
    experiment.train(options, model, data.train, data.validation, name="writer", **steps)
    return data, model


def observe(path, observations):
    """The forecasts (T, F, D) after each of T observations (D,), and the milliseconds of one."""
    stream, forecasts, times = LiteRTStream(path), [], []
    for observation in observations:
        began = time.perf_counter()
        forecasts.append(stream(observation[None, None])[0, 0])  # (1, 1, F, D)
        times.append(time.perf_counter() - began)
    return np.stack(forecasts), 1e3 * np.median(times)


def write(path, prompt, seed):
    """Print a text as it is written; returns it, and the milliseconds of a piece."""
    generate, pieces, began = LiteRTGenerator(path), [], time.perf_counter()
    for piece in generate(prompt, seed=seed, stream=True):
        print(piece, end="", flush=True)
        pieces.append(piece)
    return "".join(pieces), 1e3 * (time.perf_counter() - began) / len(pieces)


def export(model, path, **options):
    print(f"\n{keras_seq.export.to_litert(model, path, **options)}")
    return path


def main(command_line=None):
    defaults = {"dataset": "tiny_shakespeare", "epochs": 5, "batch_size": 12, "learning_rate": 4e-3}
    without = ("prompt", "characters")
    options = experiment.parse(
        __doc__, arguments, QUICK, without, command_line, name="on_device", **defaults
    )
    series, forecaster = train_forecaster(options)
    texts, writer = train_writer(options)
    generator = Generator(writer, max_length=options.characters, sampler="random")
    text_generator = TextGenerator(generator, texts.tokenizer, source_length=PROMPT_LENGTH)

    folder = options.output
    forecaster_path = export(forecaster, folder / "forecaster.tflite", time=1, streaming=True)
    lengths = {"prompt_length": PROMPT_LENGTH, "streaming": True}
    path = export(text_generator, folder / "writer.tflite", **lengths)

    start = series.starts["test"][0]
    values = series.values[start : start + options.past + options.future]
    observations = series.scale(values[: options.past]).astype("float32")
    forecasts, milliseconds = observe(forecaster_path, observations)
    whole = keras.ops.convert_to_numpy(forecaster(observations[None]))[0]
    figures = {
        "milliseconds an observation": milliseconds,
        "largest difference from the whole call": np.abs(forecasts - whole).max(),
    }
    shown = {"on the device": series.unscale(forecasts[-1])[:, -1:]}
    past, truth = np.split(values[:, -1:], [options.past])
    picture = options.output / "forecast.png"
    keras_seq.plots.forecasts(past, truth, shown, columns=series.columns[-1:], path=picture)
    print(f"Saved {picture}")

    print("\nCharacter by character:")
    text, figures["milliseconds a character"] = write(path, options.prompt, options.seed)
    print()
    same = text == text_generator(options.prompt, seed=options.seed)
    figures["text equal to the Keras model's, same seed"] = float(same)
    experiment.report(options, figures)


if __name__ == "__main__":
    main()
