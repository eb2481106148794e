"""Greedy generation, batch 1: keras_seq compiled, plain graph and LiteRT, against plain Keras.

    python benchmarks/generate.py

Encoder-decoder Transformer, 2 + 2 blocks, 128 wide, vocabulary 4,000, random weights, 20 source
tokens, 32 new tokens. Plain Keras runs the whole compiled model for every token on a target padded
to its final width, as tutorials do. The systems take turns in one run; medians and ratios count.
"""

import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import keras_seq

VOCABULARY, SOURCE, NEW, ROUNDS = 4000, 20, 32, 15


def main():
    model = keras_seq.models.transformer(VOCABULARY, VOCABULARY, sequence_length=64, dropout=0.0)
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.05 * rng.normal(size=w.shape) for w in model.get_weights()])
    source = rng.integers(4, VOCABULARY, size=(1, SOURCE)).astype("int32")
    with tempfile.TemporaryDirectory() as folder:
        systems = make_systems(model, source, pathlib.Path(folder) / "model.tflite")
        tokens = {name: run() for name, run in systems.items()}
        times = {name: [] for name in systems}
        for _ in range(ROUNDS):
            for name, run in systems.items():
                began = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - began)
    reference = tokens["plain Keras, no cache"]
    baseline = np.median(times["plain Keras, no cache"])
    print(f"{'system':<28}{'ms a sequence':>14}{'tokens/s':>10}{'ratio':>8}  same tokens")
    for name, seconds in times.items():
        median = np.median(seconds)
        same = "yes" if np.array_equal(tokens[name], reference) else "NO"
        rate, ratio = NEW / median, baseline / median
        print(f"{name:<28}{1e3 * median:>14.2f}{rate:>10,.0f}{ratio:>7.1f}x  {same}")


def make_systems(model, source, path):
    """Functions that each generate once and return the new tokens, (1, NEW)."""
    options = {"max_length": NEW, "start_token": 2}
    compiled = keras_seq.generation.Generator(model, **options)
    graph = keras_seq.generation.Generator(model, jit_compile=False, **options)
    keras_seq.export.to_litert(compiled, path, source_length=SOURCE, inputs=source)
    litert = Interpreter(model_path=str(path), num_threads=2).get_signature_runner("generate")

    @tf.function(jit_compile=True)
    def whole(source, target):
        return model({"source": source, "target": target}, training=False)

    def plain_keras():
        target = np.zeros((1, NEW + 1), "int32")
        target[0, 0] = 2
        for t in range(NEW):
            target[0, t + 1] = np.argmax(whole(source, target)[0, t])
        return target[:, 1:]

    return {
        "plain Keras, no cache": plain_keras,
        "keras_seq, TensorFlow": lambda: graph.generate(source).tokens.numpy(),
        "keras_seq, TensorFlow XLA": lambda: compiled.generate(source).tokens.numpy(),
        "keras_seq, LiteRT file": lambda: litert(source=source)["tokens"],
    }


if __name__ == "__main__":
    main()
