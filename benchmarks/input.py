"""Input pipelines: how many tokens a second, against a hand-written one and what a model takes.

    python benchmarks/input.py
    python benchmarks/input.py --pipelines imdb_packed multi30k --rounds 9

Each row is a call of `keras_seq.data` as the documentation has it. Beside it runs the tf.data
pipeline that one would write by hand for such batches from the same token ids in memory (shuffle,
bucket or batch, pad, prefetch; autotuning off), in turns; and the plain `fit` of a small model that
such data train, on one batch again and again. "tokens" are those of the labels
or inputs that are no padding; of images and series, their steps. "made" is the time of the call:
reading, training a tokenizer (not from the cache), tokenizing.

Data are read from ../shared/data (or --data-dir); rows whose data are missing are left out.
"""

import argparse
import os
import pathlib
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from host import describe_host

import keras_seq
from keras_seq import data as ks_data

HERE = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _options(dataset):
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(4).with_options(options)


def _ragged(rows):
    return tf.ragged.constant([np.asarray(r).tolist() for r in rows], dtype="int32")


def shakespeare(folder):
    """Blocks of 128 characters, 32 a batch; a 4-layer Transformer of 128 units."""
    made = ks_data.language_model("tiny_shakespeare", data_dir=folder / "tfds")
    ids = np.asarray(made.tokenizer(made.texts["train"])[0])
    by_hand = tf.data.Dataset.from_tensor_slices(ids).batch(129, drop_remainder=True)
    by_hand = by_hand.shuffle(8000).batch(32, drop_remainder=True)
    by_hand = by_hand.map(lambda x: (x[:, :-1], x[:, 1:]), num_parallel_calls=2)
    return made, _options(by_hand), _transformer(made.vocabulary_size, 128), LOGITS


def names(folder):
    """Names, one a row, 2,048 tokens a batch; an LSTM of 128 units."""
    made = ks_data.language_model(
        folder / "names" / "names.txt", layout="documents", max_tokens=2048
    )
    ids = made.tokenizer(made.texts["train"])
    rows = tf.ragged.constant([[2, *row, 3] for row in ids], dtype="int32")
    return made, _bucketed(rows, 2048, lambda x: (x[:, :-1], x[:, 1:])), _lstm(30), LOGITS


def imdb(folder):
    """Reviews with a label, the last 400 pieces, 8,192 tokens a batch; a GRU of 64 units."""
    made = ks_data.classification(
        "imdb_reviews",
        data_dir=folder / "tfds",
        sequence_length=400,
        too_long="keep_last",
        max_tokens=8192,
    )
    rows = _ragged([row[-400:] for row in made.tokenizer(made.texts["train"])])
    labels = tf.constant(np.arange(len(made.texts["train"])) % 2)
    x = keras.Input((None,), dtype="int32")
    y = keras.layers.Embedding(made.vocabulary_size, 64)(x)
    y = keras.layers.Dense(2)(keras_seq.layers.GRU(64)(y))
    return made, _bucketed(rows, 8192, None, labels), keras.Model(x, y), LOGITS


def imdb_packed(folder):
    """Reviews packed into rows of 256 characters' pieces, 32 a batch; an LSTM of 128 units."""
    made = ks_data.language_model(
        "imdb_reviews",
        data_dir=folder / "tfds",
        tokenizer="subword",
        layout="packed",
        sequence_length=256,
    )
    ids = made.tokenizer(made.texts["train"])
    text = np.concatenate([np.append(row, 3) for row in ids]).astype("int32")
    by_hand = tf.data.Dataset.from_tensor_slices(text).batch(257, drop_remainder=True)
    by_hand = by_hand.shuffle(8000).batch(32, drop_remainder=True)
    by_hand = by_hand.map(lambda x: (x[:, :-1], x[:, 1:]), num_parallel_calls=2)
    return made, _options(by_hand), _lstm(made.vocabulary_size), LOGITS


def multi30k(folder):
    """German to English, 4,096 tokens a batch; a 2 + 2-layer Transformer of 128 units."""
    made = ks_data.translation(folder / "multi30k", source="de", target="en", max_tokens=4096)
    sources = _ragged(made.source_tokenizer(made.texts["train"][0]))
    pieces = made.target_tokenizer(made.texts["train"][1])
    targets = tf.ragged.constant([[2, *row, 3] for row in pieces], dtype="int32")
    by_hand = tf.data.Dataset.from_tensor_slices((sources, targets)).shuffle(30_000)
    by_hand = by_hand.map(lambda s, t: (s, t))  # ragged rows of rank one become tensors
    bounds = list(range(9, 60, 4))
    by_hand = by_hand.bucket_by_sequence_length(
        lambda s, t: tf.maximum(tf.size(s), tf.size(t)),
        bounds,
        [4096 // b for b in [*bounds, 80]],
    )

    def teacher_forced(s, t):
        return {"source": s, "target": t[:, :-1]}, t[:, 1:], tf.cast(t[:, 1:] != 0, "float32")

    by_hand = by_hand.map(teacher_forced, num_parallel_calls=2)
    model = keras_seq.models.transformer(
        made.source_tokenizer.vocabulary_size(),
        made.target_tokenizer.vocabulary_size(),
        num_layers=2,
        num_heads=4,
        hidden_dim=128,
        intermediate_dim=512,
    )
    return made, _options(by_hand), model, LOGITS


def ett(folder):
    """Electricity, 336 hours of 7 columns to 96; two GRU of 64 units."""
    path = folder / "etth1" / "ETTh1.csv"
    made = ks_data.series(path, past=336, future=96, splits=(8640, 2880, 2880))
    table = tf.constant(made.scale(made.values[:8640]).astype("float32"))
    starts = tf.data.Dataset.range(8640 - 336 - 96 + 1).shuffle(9000)
    by_hand = starts.map(
        lambda t: (table[t : t + 336], table[t + 336 : t + 432]), num_parallel_calls=2
    )
    x = keras.Input((336, 7))
    y = keras_seq.layers.GRU(64, return_sequences=True)(x)
    y = keras.layers.Dense(96 * 7)(keras_seq.layers.GRU(64)(y))
    model = keras.Model(x, keras.layers.Reshape((96, 7))(y))
    return made, _options(by_hand.batch(32, drop_remainder=True)), model, "mse"


def mnist(folder):
    """Digits in patches of 4 x 4, 64 a batch; a Transformer encoder of 4 blocks of 64."""
    made = ks_data.images(
        "mnist", data_dir=folder / "tfds", layout="patches", patch_size=4, batch_size=64
    )
    pixels, labels = made.pixels["train"], made.labels["train"]
    by_hand = tf.data.Dataset.from_tensor_slices((pixels, labels)).shuffle(len(pixels))
    by_hand = by_hand.batch(64, drop_remainder=True)

    def patches(image, label):
        image = tf.cast(image, "float32") / 255
        parts = tf.image.extract_patches(image, [1, 4, 4, 1], [1, 4, 4, 1], [1, 1, 1, 1], "VALID")
        return tf.reshape(parts, (-1, 49, 16)), label

    by_hand = by_hand.map(patches, num_parallel_calls=2)
    x = keras.Input((49, 16))
    y = keras.layers.Dense(64)(x)
    for _ in range(4):
        y = keras_seq.layers.TransformerEncoderBlock(intermediate_dim=128, num_heads=4)(y)
    y = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling1D()(y))
    return made, _options(by_hand), keras.Model(x, y), LOGITS


PIPELINES = {p.__name__: p for p in (shakespeare, names, imdb, imdb_packed, multi30k, ett, mnist)}


def _bucketed(rows, max_tokens, split, labels=None):
    given = (rows,) if labels is None else (rows, labels)
    dataset = tf.data.Dataset.from_tensor_slices(given).shuffle(rows.nrows())
    dataset = dataset.map(lambda row, *label: (row, *label) if label else row)
    longest = int(rows.bounding_shape()[1])
    bounds = sorted({int(b) for b in np.linspace(longest / 12, longest, 12)})
    dataset = dataset.bucket_by_sequence_length(
        lambda row, *_: tf.size(row), bounds, [max(1, max_tokens // b) for b in [*bounds, longest]]
    )
    if split is not None:
        dataset = dataset.map(
            lambda x: (*split(x), tf.cast(split(x)[1] != 0, "float32")), num_parallel_calls=2
        )
    return _options(dataset)


def _lstm(vocabulary):
    x = keras.Input((None,), dtype="int32")
    y = keras.layers.Embedding(vocabulary, 128)(x)
    y = keras_seq.layers.LSTM(128, return_sequences=True)(y)
    return keras.Model(x, keras.layers.Dense(vocabulary)(y))


def _transformer(vocabulary, length):
    return keras_seq.models.decoder_only_transformer(
        vocabulary, sequence_length=length, num_layers=4, num_heads=4, hidden_dim=128
    )


def _inputs_of(inputs):
    """What the model takes of a batch's inputs: what marks documents is not for it."""
    if isinstance(inputs, dict) and "tokens" in inputs:
        return inputs["tokens"]
    return inputs


def tokens_of(batch):
    """How many tokens of a batch count."""
    inputs, labels, *weights = batch
    if weights:
        return int(tf.math.count_nonzero(weights[0]))
    if not inputs.dtype.is_integer:  # steps of a series, patches of an image
        return int(tf.reduce_prod(tf.shape(inputs)[:2]))
    return int(tf.math.count_nonzero(labels if labels.shape.rank > 1 else inputs))


def speed(dataset, seconds=3.0):
    """Tokens a second over whole passes, until so many seconds are over."""
    tokens, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for batch in dataset:
            tokens += tokens_of(batch)
            if time.perf_counter() - start > 3 * seconds:
                break
    return tokens / (time.perf_counter() - start)


def consumption(model, loss, batch, steps=10):
    """Tokens a second of plain `fit` on one batch, compilation left out."""
    inputs, labels, *weights = batch
    repeated = tf.data.Dataset.from_tensors((_inputs_of(inputs), labels, *weights)).repeat()
    model.compile("adam", loss)
    fit = {"steps_per_epoch": steps, "verbose": 0}
    model.fit(_options(repeated), **fit)
    start = time.perf_counter()
    model.fit(_options(repeated), **fit)
    return steps * tokens_of(batch) / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pipelines", nargs="+", choices=PIPELINES, default=list(PIPELINES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", type=pathlib.Path, default=HERE)
    options = parser.parse_args()
    os.environ["KERAS_HOME"] = tempfile.mkdtemp()  # no tokenizer from the cache
    print(describe_host(), flush=True)
    head = ("pipeline", "made, s", "M tokens/s", "by hand", "ratio", "model", "ratio", "padding")
    print(("{:<12}" + "{:>11}" * 7).format(*head), flush=True)
    for name in options.pipelines:
        start = time.perf_counter()
        try:
            made, by_hand, model, loss = PIPELINES[name](options.data_dir)
        except (ValueError, ConnectionError) as error:
            print(f"{name:<12} left out: {str(error)[:80]}", flush=True)
            continue
        made_in = time.perf_counter() - start
        batch = next(iter(made.train))
        takes = consumption(model, loss, batch)
        ours, theirs = [], []
        for _ in range(options.rounds):
            ours.append(speed(made.train))
            theirs.append(speed(by_hand))
        ours, theirs = statistics.median(ours), statistics.median(theirs)
        print(
            f"{name:<12}{made_in:>11.1f}{ours / 1e6:>11.2f}{theirs / 1e6:>11.2f}"
            f"{ours / theirs:>10.2f}x{takes / 1e6:>11.3f}{ours / takes:>10.0f}x"
            f"{made.summaries['train'].padding:>11.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
