"""What all examples share: their command line, training that survives a kill, figures, exports.

An example imports it before Keras, and calls, in this order, `parse`, `strategy`, `train`,
`report` and `export`.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "--quick" in sys.argv:  # where XLA compiles for longer than it runs what it compiled
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import keras
import tensorflow as tf

import keras_seq
from keras_seq.classification import TextClassifier
from keras_seq.generation import TextGenerator

# Options that change nothing about what is trained.
_NOT_OF_TRAINING = {"output", "data_dir", "retrain", "export", "quick"}


def parse(description, arguments=None, quick=None, without=(), command_line=None, **defaults):
    """The options of an example; seeds and the dtype policy are set from them.

    Args:
        description: the text of `--help`.
        arguments: function that is given `parser.add_argument`, for the example's own options.
        quick: dict of defaults under `--quick`. What the command line names goes before.
        without: names of options that change nothing about what is trained.
        command_line: list of arguments; those of the process if `None`.
        **defaults: of `dataset`, `epochs`, `batch_size`, `learning_rate`; `name` of the folder in
            `saved_models`, or a function that is given the options and may complete them.

    Returns:
        The options by name. `output` is a folder that exists. `dataset` is `None` under `--quick`
        unless the command line names one: the example makes up its data.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--dataset", help="name of a dataset of TensorFlow Datasets, a folder or a file")
    add("--data-dir", help="where TensorFlow Datasets keeps its datasets")
    add("--epochs", type=int)
    add("--batch-size", type=int)
    add("--learning-rate", type=float)
    add("--seed", type=int, default=0)
    add("--output", type=pathlib.Path, help="folder for model, checkpoints, pictures, exports")
    add("--quick", action="store_true", help=f"seconds, without data; defaults {quick}")
    add("--retrain", action="store_true", help="train anew, even if a checkpoint is there")
    add("--export", action=argparse.BooleanOptionalAction, default=True)
    add("--dtype-policy", default="float32", help="for example mixed_bfloat16")
    add("--distribute", action="store_true", help="train on all GPUs, by MirroredStrategy")
    if arguments is not None:
        arguments(add)
    name = defaults.pop("name", pathlib.Path(sys.argv[0]).stem)
    parser.set_defaults(**defaults)
    options = parser.parse_args(command_line)
    if options.quick:
        parser.set_defaults(**{"dataset": None, **(quick or {})})
        options = parser.parse_args(command_line)
    if callable(name):
        name = name(options)
    if options.output is None:
        options.output = pathlib.Path("saved_models", *["quick"] * options.quick, name)
    options.output.mkdir(parents=True, exist_ok=True)
    options._without = {*_NOT_OF_TRAINING, *without}
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(options.dtype_policy)
    return options


def fill_in(options, recipe):
    """Set the options that the command line leaves open to those of a dict."""
    for key, value in recipe.items():
        if getattr(options, key) is None:
            setattr(options, key, value)


def strategy(options):
    """The `tf.distribute.Strategy` in whose scope the model is made and compiled."""
    return tf.distribute.MirroredStrategy() if options.distribute else tf.distribute.get_strategy()


def cosine_with_warm_up(peak, steps, warm_up, alpha=0.0):
    """A learning rate that rises to `peak` in `warm_up` steps, then falls along a cosine.

    Args:
        peak: the largest learning rate.
        steps: of the whole training.
        warm_up: of them, those in which it rises.
        alpha: the last learning rate, as a fraction of `peak`.
    """
    return keras.optimizers.schedules.CosineDecay(
        0.0, steps - warm_up, alpha=alpha, warmup_target=peak, warmup_steps=warm_up
    )


def map_steps(dataset, function):
    """`dataset.map`, of a function of the number of a batch and the batch.

    A run that was killed goes on with the batches that it would have seen.
    """
    batches = dataset.enumerate().map(function)
    if hasattr(dataset, "from_step"):
        batches.from_step = lambda step: dataset.from_step(step).enumerate(step).map(function)
    return batches


def shifted(images, most, seed):
    """Images (B, H, W, C), each moved up or down and left or right by at most so many pixels.

    Args:
        images: tensor; what comes in at an edge is 0.
        most: pixels.
        seed: two ints; the same images and seed give the same result.
    """
    count, (height, width) = tf.shape(images)[0], images.shape[1:3]
    padded = tf.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    places = tf.random.stateless_uniform((2, count, 1), seed, 0, 2 * most + 1, "int32")
    rows = tf.gather(padded, places[0] + tf.range(height), axis=1, batch_dims=1)
    moved = tf.gather(rows, places[1] + tf.range(width), axis=2, batch_dims=1)
    return tf.ensure_shape(moved, images.shape)


def train(
    options,
    model,
    dataset,
    validation=None,
    *,
    monitor="val_loss",
    mode="auto",
    patience=None,
    average=None,
    callbacks=(),
    name="model",
    epochs=None,
    **arguments,
):
    """Train `model` by `keras_seq.training.resume`, and keep the weights of the best epoch.

    Killed and started again, it goes on to the same result; when it has ended, the same command
    restores what was trained. It writes the best model so far (`NAME.keras`), TensorBoard logs and
    the learning curves into `options.output`.

    Args:
        model: compiled `keras.Model`.
        dataset, validation: `tf.data.Dataset`s of batches.
        monitor, mode: what says which epoch is the best, as in `keras.callbacks.EarlyStopping`.
        patience: number of epochs without a better one after which training stops; `None`: never.
        average: number of last epochs whose weights' mean the trained model gets, in place of the
            weights of the best epoch.
        callbacks: of the example's own.
        name: of the model among those that the example trains.
        epochs: at most; `options.epochs` if `None`.
        **arguments: of `resume`, such as `steps_per_epoch`.

    Returns:
        `keras.callbacks.History` of all epochs. Its `seconds` are those of all training steps.
    """
    epochs = epochs or options.epochs
    folder = options.output / "checkpoints" / f"{name}-{_settings_hash(options)}"
    if options.retrain and folder.exists():
        shutil.rmtree(folder)
    seconds = StepSeconds()
    if average is None:
        choose = keras.callbacks.EarlyStopping(
            monitor, patience=patience or epochs, mode=mode, restore_best_weights=True
        )
    else:
        choose = keras_seq.training.AverageCheckpoints(average)
    own = [
        seconds,
        choose,
        keras.callbacks.ModelCheckpoint(
            options.output / f"{name}.keras", monitor, save_best_only=True, mode=mode
        ),
        keras.callbacks.TensorBoard(options.output / "logs" / name, write_graph=False),
    ]
    history = keras_seq.training.resume(
        model,
        dataset,
        folder,
        epochs=epochs,
        validation_data=validation,
        callbacks=[*callbacks, *own],  # the example's first: they may add what is monitored
        verbose=1 if sys.stdout.isatty() else 2,
        **arguments,
    )
    history.seconds = seconds.seconds
    model.save(options.output / f"{name}.keras")
    curves = options.output / f"{name}_learning_curves.png"
    keras_seq.plots.learning_curves(history.history, path=curves, title=name)
    epochs = len(history.history["loss"])
    print(f"Trained {model.count_params():,} weights, {epochs} epochs, {seconds.seconds:.0f} s")
    print(f"Saved {options.output / name}.keras and {curves}")
    return history


class StepSeconds(keras.callbacks.Callback):
    """Counts the seconds of all training steps, those before a kill among them."""

    def __init__(self):
        super().__init__()
        self.seconds = 0.0

    def on_train_batch_begin(self, batch, logs=None):
        self._began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds += time.perf_counter() - self._began


def report(options, figures, **more):
    """Print the example's figures, and write them to `figures.json` with its command.

    Args:
        figures: dict from what was measured to a number.
        **more: what else the file should hold, such as `seconds=history.seconds`.
    """
    print()
    for what, figure in figures.items():
        print(f"{what}: {figure:,.4g}")
    command = " ".join(["python", *sys.argv])
    content = {"figures": {k: float(v) for k, v in figures.items()}, "command": command, **more}
    path = options.output / "figures.json"
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    print(f"Saved {path}")


def export(options, model, *, inputs=None, name="model", saved_model="1", **arguments):
    """Write `model` as a SavedModel and as a LiteRT file; print what comparing them gave.

    Args:
        model: a functional `keras.Model`, `Generator`, `TextGenerator` or `TextClassifier`.
        inputs: what to compare on: arrays, or a list of texts of the last two.
        name: of the LiteRT file.
        saved_model: folder of the SavedModel, in `options.output`.
        **arguments: of `keras_seq.export.to_litert`.

    Returns:
        The two reports, none under `--no-export`.
    """
    if not options.export:
        return []
    print("\nExporting, and comparing with the Keras model ...")
    saved_model, litert = options.output / saved_model, options.output / f"{name}.tflite"
    classifies = isinstance(model, TextClassifier)
    compared = {"texts" if classifies or isinstance(model, TextGenerator) else "inputs": inputs}
    prompts = {k: v for k, v in arguments.items() if k in ("prompt", "prompt_length")}
    reports = [keras_seq.export.to_saved_model(model, saved_model, **compared, **prompts)]
    if classifies:  # LiteRT gets what the tokenizer makes
        model, inputs = model.model, model.tokenize(inputs)
    reports.append(keras_seq.export.to_litert(model, litert, inputs=inputs, **arguments))
    for each in reports:
        print(f"\n{each}")
    return reports


def _settings_hash(options):
    settings = {k: v for k, v in vars(options).items() if not k.startswith("_")}
    settings = {k: str(v) for k, v in settings.items() if k not in options._without}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
