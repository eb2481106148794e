"""LSTM and GRU, forward and training step, float32: keras_seq against its peers.

    python benchmarks/recurrent.py                   # all shapes
    python benchmarks/recurrent.py --shapes 0 3 --cells LSTM --rounds 30

Systems: `keras_seq.layers` on TensorFlow with XLA and without; `keras.layers` on TensorFlow with
XLA and without, and on JAX; `tf_keras` (Keras 2) with XLA and without; `torch.nn` with two threads.
A training step is the gradient of the sum of squared outputs by the inputs and all weights. Keras
with another backend runs in a process of its own that waits until it is asked, so all systems
alternate in one run; medians and ratios count. The matrix-product peak of the machine, square
matrices of 2048, is measured in the same run. Needs `tf_keras`, `torch` and `jax` for those peers
and leaves out what is missing.
"""

import argparse
import os
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "0")

import numpy as np

SHAPES = [(32, 100, 128, 256), (1, 100, 128, 256), (64, 35, 200, 200), (128, 200, 64, 64)]
SHAPES.append((20, 35, 650, 650))
OURS = "keras_seq XLA"
BEST_KERAS = ("keras 3 TF", "keras 3 TF XLA")
THREADS = 2


def flops(cell, shape, training):
    """Multiplications and additions of the matrix products; backwards has twice those forwards."""
    batch, time_steps, features, units = shape
    gates = {"LSTM": 4, "GRU": 3}[cell]
    forward = 2 * batch * time_steps * gates * units * (features + units)
    return 3 * forward if training else forward


def random_input(shape):
    return np.random.default_rng(0).normal(size=shape[:3]).astype("float32")


def tensorflow_system(layers, cell, shape, training, jit_compile):
    import tensorflow as tf

    layer = getattr(layers, cell)(shape[3], return_sequences=True)
    x = tf.constant(random_input(shape))
    layer(x)
    weights = [getattr(v, "value", v) for v in layer.trainable_variables]
    weights = [w() if callable(w) else w for w in weights] if _is_keras_2(layers) else weights
    variables = layer.trainable_variables if _is_keras_2(layers) else weights

    @tf.function(jit_compile=jit_compile, autograph=False)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=True) ** 2)
        return tape.gradient(loss, [x, *variables])

    @tf.function(jit_compile=jit_compile, autograph=False)
    def forward(x):
        return [layer(x, training=False)]

    function = step if training else forward
    return lambda: [y.numpy() for y in function(x)[-1:]]


def _is_keras_2(layers):
    return layers.__name__.startswith("tf_keras")


def torch_system(cell, shape, training):
    import torch

    torch.set_num_threads(THREADS)
    layer = getattr(torch.nn, cell)(shape[2], shape[3], batch_first=True)
    x = torch.tensor(random_input(shape), requires_grad=training)

    def step():
        layer.zero_grad(set_to_none=True)
        x.grad = None
        (layer(x)[0] ** 2).sum().backward()

    def forward():
        with torch.no_grad():
            layer(x)

    return step if training else forward


def jax_system(cell, shape, training):
    import jax
    import keras

    layer = getattr(keras.layers, cell)(shape[3], return_sequences=True)
    x = jax.numpy.asarray(random_input(shape))
    layer(x)
    trained = [v.value for v in layer.trainable_variables]
    other = [v.value for v in layer.non_trainable_variables]

    def loss(x, trained):
        y, _ = layer.stateless_call(trained, other, x, training=True)
        return (y**2).sum()

    if training:
        function = jax.jit(jax.grad(loss, (0, 1)))
    else:
        function = jax.jit(lambda x, w: layer.stateless_call(w, other, x, training=False)[0])
    return lambda: jax.block_until_ready(function(x, trained))


class Jax:
    """Keras on JAX in a process of its own, which runs once for each line that it is sent."""

    def __init__(self):
        environment = {**os.environ, "KERAS_BACKEND": "jax"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve-jax"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.ask("")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise ImportError("Keras on JAX cannot be run")
        return float(answer)

    def system(self, cell, shape, training):
        line = " ".join(map(str, (cell, *shape, int(training))))

        def run():
            run.seconds = self.ask(line)  # measured there, without the way to and fro

        run()
        return run


def serve_jax():
    """Answer each line, a case, with the seconds that one run of it took."""
    systems = {}
    import jax  # noqa: F401  fails here where it is missing
    import keras  # noqa: F401

    for line in sys.stdin:
        case = line.split()
        if not case:
            print(0.0, flush=True)
            continue
        if line not in systems:
            cell, *shape, training = case
            systems[line] = jax_system(cell, tuple(map(int, shape)), training == "1")
            systems[line]()
        began = time.perf_counter()
        systems[line]()
        print(time.perf_counter() - began, flush=True)


def make_systems(cell, shape, training, jax_process):
    import keras

    import keras_seq

    makers = {
        OURS: lambda: tensorflow_system(keras_seq.layers, cell, shape, training, True),
        "keras_seq": lambda: tensorflow_system(keras_seq.layers, cell, shape, training, False),
        "keras 3 TF": lambda: tensorflow_system(keras.layers, cell, shape, training, False),
        "keras 3 TF XLA": lambda: tensorflow_system(keras.layers, cell, shape, training, True),
        "keras 3 JAX": lambda: jax_process.system(cell, shape, training),
        "torch": lambda: torch_system(cell, shape, training),
    }
    try:
        import tf_keras

        for name, jit_compile in (("keras 2", False), ("keras 2 XLA", True)):
            makers[name] = lambda j=jit_compile: tensorflow_system(
                tf_keras.layers, cell, shape, training, j
            )
    except ImportError:
        pass
    systems = {}
    for name, make in makers.items():
        try:
            systems[name] = make()
        except (ImportError, AttributeError) as error:
            print(f"left out: {name} ({error})")
    return systems


def measure(systems, rounds):
    """Median seconds of each system, alternating."""
    for run in systems.values():
        run()
        run()
    times = {name: [] for name in systems}
    for _ in range(rounds):
        for name, run in systems.items():
            began = time.perf_counter()
            run()
            times[name].append(getattr(run, "seconds", time.perf_counter() - began))
    return {name: float(np.median(t)) for name, t in times.items()}


def matrix_product_peak(size=2048, rounds=8):
    """FLOP/s of TensorFlow's product of two square matrices."""
    import tensorflow as tf

    a = tf.random.normal((size, size))
    product = tf.function(lambda a: tf.matmul(a, a))
    product(a)
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        product(a).numpy()
        times.append(time.perf_counter() - began)
    return 2 * size**3 / np.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", type=int, nargs="+", default=list(range(len(SHAPES))))
    parser.add_argument("--cells", nargs="+", default=["LSTM", "GRU"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--serve-jax", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_jax:
        serve_jax()
        return
    try:
        jax_process = Jax()
    except ImportError:
        jax_process = None
    for training in (True, False):
        peak = matrix_product_peak()
        print(f"\n{'training step' if training else 'forward'}, ms; ", end="")
        print(f"matrix-product peak {peak / 1e9:.0f} GFLOP/s")
        ratios = {"best Keras 3 on TensorFlow": [], "best peer": []}
        for cell in options.cells:
            for shape in (SHAPES[i] for i in options.shapes):
                systems = make_systems(cell, shape, training, jax_process)
                seconds = measure(systems, options.rounds)
                ours = min(seconds[OURS], seconds["keras_seq"])
                keras_3 = min(seconds[name] for name in BEST_KERAS)
                peer = min(s for name, s in seconds.items() if not name.startswith("keras_seq"))
                ratios["best Keras 3 on TensorFlow"].append(keras_3 / ours)
                ratios["best peer"].append(peer / ours)
                fraction = flops(cell, shape, training) / ours / peak
                row = "  ".join(f"{name} {1e3 * s:.1f}" for name, s in seconds.items())
                print(f"{cell} (B,T,D,U)={shape}: {row}")
                print(
                    f"    keras_seq: {keras_3 / ours:.2f}x best Keras 3 TF, "
                    f"{peer / ours:.2f}x best peer, {fraction:.0%} of the peak",
                    flush=True,
                )
        for name, values in ratios.items():
            mean = np.exp(np.mean(np.log(values)))
            print(f"geometric mean against the {name}: {mean:.2f}x (least {min(values):.2f}x)")
    if jax_process is not None:
        jax_process.process.kill()


if __name__ == "__main__":
    main()
