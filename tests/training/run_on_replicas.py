"""Train on one device and on two; prints how far the weights are apart, as JSON.

Run in a process of its own:

    python run_on_replicas.py mirrored CASE ...   two logical CPU devices, MirroredStrategy
    python run_on_replicas.py workers CASE ...    two processes, MultiWorkerMirroredStrategy

A case is one of CASES, or `resumed CASE`, for which training on two is stopped and resumed. Workers
resume in every case, because only `resume` trains there.
"""

import contextlib
import json
import os
import pickle
import socket
import sys
import tempfile
import traceback

import keras
import numpy as np
import tensorflow as tf

import keras_seq as ks
from keras_seq.training import (
    AverageCheckpoints,
    InverseSquareRoot,
    SampleText,
    SmoothedCrossentropy,
    TokenMean,
    TruncatedBPTT,
    chunks,
    resume,
)

V, B, T, STEPS = 7, 4, 6, 3
LOSS = keras.losses.SparseCategoricalCrossentropy


def padded():
    """Batches whose first rows are long and whose last are short, with weights."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, V, size=(B * STEPS, T))
    for row, length in enumerate([6, 5, 1, 2] * STEPS):
        tokens[row, length:] = 0
    weights = rng.uniform(0.5, 2.0, size=tokens.shape)
    targets = rng.integers(0, V, size=tokens.shape)
    return tf.data.Dataset.from_tensor_slices((tokens, targets, weights)).batch(B)


def text():
    documents = [
        np.random.default_rng(i).integers(0, V, size=n) for i, n in enumerate((30, 17, 60))
    ]
    return chunks(documents, batch_size=B, steps=T)


def token_model(loss, mask_zero=True, learning_rate=0.5, policy="float32"):
    def make():
        keras.config.set_dtype_policy(policy)
        tokens = keras.Input((T,), dtype="int32")
        x = keras.layers.Embedding(V, 4, mask_zero=mask_zero)(tokens)
        x = keras.layers.Dense(5, "tanh")(x)
        model = keras.Model(tokens, keras.layers.Dense(V)(x))
        model.compile(keras.optimizers.SGD(learning_rate), loss)
        keras.config.set_dtype_policy("float32")
        return model

    return make


def with_all_of_training(policy="float32"):
    """Smoothed labels, warm-up, and callbacks that decode and average."""
    loss = TokenMean(SmoothedCrossentropy(0.1, ignore_class=3))
    return token_model(loss, learning_rate=InverseSquareRoot(0.5, 2), policy=policy)


def callbacks_that_decode(model):
    generator = ks.generation.Generator(model, max_length=2, jit_compile=False)
    numbers = keras.layers.Identity()  # ids in, ids out
    numbers.detokenize = str
    return [SampleText(generator, [[1], [2]], numbers), AverageCheckpoints(2)]


def language_trainer():
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(V, 4)(tokens)
    x = ks.layers.GRU(4, return_sequences=True)(x)
    trainer = TruncatedBPTT(keras.Model(tokens, keras.layers.Dense(V)(x)), steps=T)
    trainer.compile(keras.optimizers.SGD(0.5), LOSS(from_logits=True))
    return trainer


CASES = {
    "mean of means": (token_model(LOSS(from_logits=True)), padded),
    "masks": (token_model(TokenMean(LOSS(from_logits=True))), padded),
    "ignored class": (
        token_model(TokenMean(LOSS(from_logits=True, ignore_class=3)), mask_zero=False),
        padded,
    ),
    "weights": (
        token_model(
            TokenMean(LOSS(from_logits=True, reduction="mean_with_sample_weight")), mask_zero=False
        ),
        padded,
    ),
    "carried states": (language_trainer, text),
    "all of training": (with_all_of_training(), padded),
    "all in float16": (with_all_of_training("mixed_float16"), padded),
    "all in bfloat16": (with_all_of_training("mixed_bfloat16"), padded),
}


def trained(make_model, data, strategy=None, folder=None, decodes=False):
    """`[values of all variables, loss of each epoch]`; with `folder`, of a run that is resumed."""

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    for callbacks in ([Stop()], []) if folder else ([],):
        with strategy.scope() if strategy else contextlib.nullcontext():
            keras.utils.set_random_seed(0)
            model = make_model()
        callbacks = [*callbacks, *(callbacks_that_decode(model) if decodes else ())]
        if folder:
            history = resume(model, data, folder, epochs=2, callbacks=callbacks, verbose=0)
        else:
            history = model.fit(data, epochs=2, shuffle=False, callbacks=callbacks, verbose=0)
    values = [keras.ops.convert_to_numpy(v).copy() for v in model.variables]
    return [*values, np.array(history.history["loss"])]


def difference(a, b):
    return max(float(np.abs(x - y).max()) for x, y in zip(a, b, strict=True))


def on_two_devices(cases):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    report = {}
    for case in cases:
        name, resumes = case.removeprefix("resumed "), case.startswith("resumed ")
        make_model, data = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            decodes = name.startswith("all")
            many = trained(make_model, data(), strategy, folder if resumes else None, decodes)
        report[case] = difference(trained(make_model, data(), decodes=decodes), many)
    return report


def on_two_workers(cases):
    with tempfile.TemporaryDirectory() as folder:
        ports = free_ports(2)
        names = ["one", "worker 0", "worker 1"]
        children = [fork(work, name, cases, ports, folder) for name in names]
        codes = [os.waitpid(child, 0)[1] for child in children]
        if any(codes):
            sys.exit(f"exit codes {codes}")
        one, *workers = (pickle.load(open(os.path.join(folder, name), "rb")) for name in names)
    return {
        f"{case} of worker {i}": difference(one[case], worker[case])
        for i, worker in enumerate(workers)
        for case in one
    }


def work(name, cases, ports, folder):
    strategy = None
    if name != "one":
        cluster = {"worker": [f"localhost:{port}" for port in ports]}
        task = {"type": "worker", "index": int(name.split()[1])}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    values = {}
    for case in cases:
        make_model, data = CASES[case]
        shared = os.path.join(folder, f"checkpoint of {case}") if strategy else None
        values[case] = trained(make_model, data(), strategy, shared)
    with open(os.path.join(folder, name), "wb") as file:
        pickle.dump(values, file)


def fork(function, *arguments):
    child = os.fork()
    if child:
        return child
    try:
        function(*arguments)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def free_ports(count):
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


if __name__ == "__main__":
    run = {"mirrored": on_two_devices, "workers": on_two_workers}[sys.argv[1]]
    print(json.dumps(run(sys.argv[2:])))
