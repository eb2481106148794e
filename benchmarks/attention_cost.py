"""What the length of a sequence costs: attention, attention in a window, LSTM.

    python benchmarks/attention_cost.py
    python benchmarks/attention_cost.py --lengths 128 512 2048 --plot attention_cost.png

One layer, one row, JAX. Causal attention looks from each of T positions at all
earlier ones, so a call costs O(T^2) time and, with its weights, memory; a step looks back once,
which is O(T). In a window of W positions a call costs O(T W) of either where it is written so, and
a step O(W); an LSTM's call is O(T) and its step O(1). Each figure is a median over `--rounds`:

    call, ms        the layer on (1, T, D)
    call, MiB       memory that the compiled call needs besides weights, input and output
    step, ms        one more time step after T, 32 of them in one compiled loop
    state, KiB      what is kept between two steps

The last rows give the exponent of T, fitted to the longer half of the lengths. Layers and lengths
alternate in one run.
"""

import argparse
import os
import statistics
import time

os.environ["KERAS_BACKEND"] = "jax"  # it tells how much memory a compiled function needs

import jax
import keras
import numpy as np
from keras import ops

import keras_seq

STEPS = 32
COLUMNS = ("call, ms", "call, MiB", "step, ms", "state, KiB")
POWERS = {"call, ms": (1, 2), "call, MiB": (1, 2), "step, ms": (0, 1), "state, KiB": (0, 1)}


def main():
    options = parse()
    cases = {}
    for name, layer in layers(options).items():
        for length in options.lengths:
            print(f"compiles: {name}, T = {length}", end="   \r", flush=True)
            cases[name, length] = Case(layer, length, options.features)
    times = {key: ([], []) for key in cases}
    for i in range(options.rounds):
        print(f"round {i + 1} of {options.rounds}" + " " * 40, end="\r", flush=True)
        for key, case in cases.items():
            times[key][0].append(seconds(case.call))
            times[key][1].append(seconds(case.steps) / STEPS)
    figures = {
        key: (
            1e3 * statistics.median(times[key][0]),
            case.call_bytes / 2**20,
            1e3 * statistics.median(times[key][1]),
            case.state_bytes / 2**10,
        )
        for key, case in cases.items()
    }
    print_table(figures, options)
    if options.plot:
        plot(figures, options)


def layers(options):
    heads = options.heads
    width = options.features // heads
    attention = keras_seq.layers.MultiHeadSelfAttention
    return {
        "attention": attention(heads, width, causal=True),
        f"window of {options.window}": attention(
            heads, width, causal=True, sliding_window=options.window
        ),
        "LSTM": keras_seq.layers.LSTM(options.features, return_sequences=True),
    }


class Case:
    """A layer and a length: a call, and `STEPS` steps after T positions."""

    def __init__(self, layer, length, features):
        x = np.random.default_rng(0).normal(size=(1, length, features)).astype("float32")
        layer(x[:, :2])  # builds it

        def fill(x):
            state = layer.get_initial_state(1, max_length=length + STEPS)
            return layer(x, initial_state=state, return_state=True)[1]

        def step(x, state):
            def body(i, x, state):
                y, state = layer.step(x, state)
                return i + 1, y, state  # the output is the next input: no step can be left out

            return ops.while_loop(lambda i, x, state: i < STEPS, body, (0, x, state))[1]

        whole = jax.jit(layer).lower(x).compile()
        self.call_bytes = whole.memory_analysis().temp_size_in_bytes
        self.call = lambda: whole(x).block_until_ready()
        state = jax.jit(fill)(x)
        self.state_bytes = sum(t.nbytes for t in keras.tree.flatten(state))
        stepped = jax.jit(step).lower(x[:, -1:], state).compile()
        self.steps = lambda: stepped(x[:, -1:], state).block_until_ready()
        self.call()
        self.steps()


def seconds(function):
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def exponent(lengths, values):
    """b of the fit a T^b over the longer half of the lengths."""
    half = len(lengths) // 2
    values = np.asarray(values[half:], "float64")
    if len(values) < 2 or not (values > 0).all():
        return float("nan")
    return np.polyfit(np.log(lengths[half:]), np.log(values), 1)[0]


def print_table(figures, options):
    names = list(dict.fromkeys(name for name, _ in figures))
    print(f"D = {options.features}, H = {options.heads}, one row, float32" + " " * 20)
    print(f"{'':<16}{'T':>6}" + "".join(f"{column:>14}" for column in COLUMNS))
    for name in names:
        for length in options.lengths:
            row = figures[name, length]
            print(f"{name:<16}{length:>6}" + "".join(f"{value:>14,.3f}" for value in row))
    for name in names:
        columns = np.array([figures[name, length] for length in options.lengths]).T
        powers = [f"T^{exponent(options.lengths, values):.1f}" for values in columns]
        print(f"{name:<16}{'grows':>6}" + "".join(f"{power:>14}" for power in powers))


def plot(figures, options):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    lengths = np.array(options.lengths)
    names = list(dict.fromkeys(name for name, _ in figures))
    for i, (axes, column) in enumerate(zip(figure.subplots(2, 2).flat, COLUMNS, strict=True)):
        for name in names:
            axes.loglog(lengths, [figures[name, n][i] for n in lengths], "o-", label=name)
        last = figures["attention", lengths[-1]][i]
        for power, style in zip(POWERS[column], (":", "--"), strict=True):
            guide = last * (lengths / lengths[-1]) ** float(power)
            label = ("O(1)", "O(T)", "O(T²)")[power]
            axes.loglog(lengths, guide, style, color="gray", linewidth=1, label=label)
        axes.set(title=column, xlabel="T")
        axes.set_xticks(lengths, [f"{n}" for n in lengths])
        axes.minorticks_off()
        axes.legend(fontsize=8)
    figure.savefig(options.plot, dpi=120)
    print(f"plot: {options.plot}")


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    lengths = [128, 256, 512, 1024, 2048, 4096]
    parser.add_argument("--lengths", type=int, nargs="+", default=lengths, metavar="T")
    parser.add_argument("--features", type=int, default=256, metavar="D")
    parser.add_argument("--heads", type=int, default=4, metavar="H")
    parser.add_argument("--window", type=int, default=128, metavar="W")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--plot", metavar="PATH.png")
    return parser.parse_args()


if __name__ == "__main__":
    main()
