"""Plain `fit` and `predict`, no switch touched: keras.layers and KerasHub against keras_seq.

    python benchmarks/fit.py
    python benchmarks/fit.py --tasks gru256 ragged --rounds 9
    python benchmarks/fit.py --jit-compile          # the same with model.compile(jit_compile=True)

The models are those that a user writes, once with `keras.layers` (the character model: KerasHub's
blocks) and once with ours: `model.compile("adam", loss)`, then `model.fit` on a `tf.data` pipeline.
Both live in one process and take turns, in another order every round; medians and their ratios
count. "first" is the time of the first `fit` of one step, in seconds: tracing and all compilations.
"ragged" has lengths drawn from 1 to 400 in 500 batches, and its time is that of the whole first
epoch, compilations included.

tf.data's autotuning is off: its thread sleeps up to a minute, and `fit` may wait for it.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from host import describe_host

import keras_seq

RNG = np.random.default_rng(0)
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def bidirectional(layers):
    """Masked bidirectional LSTM 64 on 200 words of a text, B 64."""
    x = keras.Input((200,), dtype="int32")
    y = keras.layers.Embedding(2000, 64, mask_zero=True)(x)
    y = keras.layers.Bidirectional(layers.LSTM(64))(y)
    ids = RNG.integers(1, 2000, (64, 200))
    ids[np.arange(200) >= RNG.integers(20, 200, (64, 1))] = 0
    model = keras.Model(x, keras.layers.Dense(1, activation="sigmoid")(y))
    return model, "binary_crossentropy", ids, RNG.integers(0, 2, (64, 1))


def words(layers):
    """Two LSTM 200 over 35 of 5,000 words, B 20."""
    x = keras.Input((35,), dtype="int32")
    y = keras.layers.Embedding(5000, 200)(x)
    for _ in range(2):
        y = layers.LSTM(200, return_sequences=True)(y)
    ids = RNG.integers(0, 5000, (20, 36))
    return keras.Model(x, keras.layers.Dense(5000)(y)), LOGITS, ids[:, :-1], ids[:, 1:]


def series(layers):
    """Two GRU 64 over 96 steps of 7 channels, B 32."""
    x = keras.Input((96, 7))
    y = layers.GRU(64)(layers.GRU(64, return_sequences=True)(x))
    return keras.Model(x, keras.layers.Dense(24)(y)), "mse", normal(32, 96, 7), normal(32, 24)


def gru256(layers):
    """GRU 256 over 100 steps of 128 features, B 32."""
    x = keras.Input((100, 128))
    y = layers.GRU(256, return_sequences=True)(x)
    model = keras.Model(x, keras.layers.Dense(10)(y))
    return model, "mse", normal(32, 100, 128), normal(32, 100, 10)


def ragged(layers):
    """LSTM 64 over sequences of 32 features whose lengths differ from batch to batch, B 32."""
    x = keras.Input((None, 32))
    return keras.Model(x, keras.layers.Dense(1)(layers.LSTM(64)(x))), "mse", None, None


def characters(layers):
    """A 4-layer character Transformer, 128 wide, 64 characters, B 12; the peer is KerasHub."""
    if layers is keras_seq.layers:
        model = keras_seq.models.decoder_only_transformer(
            65,
            sequence_length=64,
            num_layers=4,
            num_heads=4,
            hidden_dim=128,
            intermediate_dim=512,
            dropout=0.0,
            padding_id=None,
        )
    else:
        import keras_hub

        embedding = keras_hub.layers.TokenAndPositionEmbedding(65, 64, 128)
        x = keras.Input((64,), dtype="int32")
        y = embedding(x)
        for _ in range(4):
            y = keras_hub.layers.TransformerDecoder(
                512, 4, activation="gelu", normalize_first=True
            )(y)
        y = keras.layers.LayerNormalization()(y)
        model = keras.Model(x, embedding.token_embedding(y, reverse=True))
    ids = RNG.integers(0, 65, (12, 65))
    return model, LOGITS, ids[:, :-1], ids[:, 1:]


TASKS = {t.__name__: t for t in (bidirectional, words, series, gru256, ragged, characters)}


def without_autotuning(data):
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)


def repeated(x, y):
    """One batch again and again."""
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(len(x)).cache().repeat()
    return without_autotuning(data)


def of_many_lengths(batches=500):
    rng = np.random.default_rng(0)
    longest, y = tf.constant(normal(32, 400, 32)), normal(32, 1)
    lengths = rng.integers(1, 401, batches)

    def batch(length):
        return tf.ensure_shape(longest[:, :length], (32, None, 32)), y

    return without_autotuning(tf.data.Dataset.from_tensor_slices(lengths).map(batch))


def timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


class System:
    """A compiled model of one of the two makers."""

    def __init__(self, task, layers, jit_compile):
        self.model, loss, self.x, y = TASKS[task](layers)
        self.data = of_many_lengths() if self.x is None else repeated(self.x, y)
        self.model.compile("adam", loss, jit_compile=jit_compile)
        self.first = None

    def fit(self, steps):
        """Milliseconds a step."""
        if self.first is None:
            self.first = timed(lambda: self.model.fit(self.data, steps_per_epoch=1, verbose=0))
        if self.x is None:  # the epoch has its end
            seconds = timed(lambda: self.model.fit(self.data, verbose=0)) + self.first
            return 1e3 * seconds / 500
        return (
            1e3 / steps * timed(lambda: self.model.fit(self.data, steps_per_epoch=steps, verbose=0))
        )

    def predict(self, steps):
        data = self.data.map(lambda x, y: x)
        return 1e3 / steps * timed(lambda: self.model.predict(data, steps=steps, verbose=0))


def compare(task, rounds, jit_compile):
    """Medians of both makers: ms a step of `fit`, its first step, ms a batch of `predict`."""
    makers = {"peer": keras.layers, "ours": keras_seq.layers}
    systems = {name: System(task, layers, jit_compile) for name, layers in makers.items()}
    steps = 20
    times = {name: {"fit": [], "predict": []} for name in systems}
    for r in range(1 if task == "ragged" else rounds + 1):
        for name in sorted(systems, reverse=r % 2 == 1):
            times[name]["fit"].append(systems[name].fit(steps))
    for r in range(rounds + 1):
        for name in sorted(systems, reverse=r % 2 == 1):
            times[name]["predict"].append(systems[name].predict(steps))
    medians = {}
    for name, system in systems.items():
        fit, predict = times[name]["fit"], times[name]["predict"]
        fit = statistics.median(fit[1:] or fit)  # the first has what is made but once
        medians[name] = {"fit": fit, "predict": statistics.median(predict[1:])}
        medians[name]["first"] = system.first
    return medians


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--jit-compile", action="store_true")
    options = parser.parse_args()
    print(describe_host())
    print("| task | peer, ms | keras_seq, ms | ratio | first, s | predict, ms | ratio |")
    print("|---|---|---|---|---|---|---|")
    ratios = []
    for task in options.tasks:
        m = compare(task, options.rounds, True if options.jit_compile else "auto")
        peer, ours = m["peer"], m["ours"]
        if task != "characters":
            ratios.append(peer["fit"] / ours["fit"])
        print(
            f"| {task} | {peer['fit']:.1f} | {ours['fit']:.1f} | {peer['fit'] / ours['fit']:.2f}x "
            f"| {peer['first']:.1f}, {ours['first']:.1f} "
            f"| {peer['predict']:.1f}, {ours['predict']:.1f} "
            f"| {peer['predict'] / ours['predict']:.2f}x |",
            flush=True,
        )
    if ratios:
        mean = statistics.geometric_mean(ratios)
        print(f"geometric mean of fit against keras.layers: {mean:.2f}x")


if __name__ == "__main__":
    main()
