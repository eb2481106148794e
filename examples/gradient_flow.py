"""How far gradients reach back: sigmoid and tanh, ReLU, LSTM and GRU on a long dependency.

    python examples/gradient_flow.py               # minutes: trains each layer, too
    python examples/gradient_flow.py --epochs 0    # the table alone: 12 seconds on two CPU cores
    python examples/gradient_flow.py --quick       # tiny sizes, training included

The class of a sequence is given by its first step, all else is noise. The table's ratio is the norm
of dL/dh(1) over that of dL/dh(T), before training, T = 100:

    SimpleRNN, sigmoid            2.5e-63    vanishes
    SimpleRNN, tanh               5.2e-06    vanishes
    SimpleRNN, ReLU, U x 0.7      7.6e-29    vanishes with a small U ...
    SimpleRNN, ReLU, U x 2        2.2e+20    ... and explodes with a large one
    LSTM, forget bias 1           2.0e-10    forgets: sigmoid(1)^99 = 3.4e-14
    GRU, update bias 0            9.8e-22    forgets: sigmoid(0)^99 = 1.6e-30
    LSTM, forget bias to log T    7.0e-01    carries
    GRU, update bias to log T     2.0e-01    carries

So a gate lets gradients pass, but only one that is open: an LSTM or GRU at its usual start does not
reach 100 steps back. Vanishing gradients: Hochreiter 1991; Bengio, Simard & Frasconi 1994.

After training there is a second picture, and one for each gated layer of what its gates do, step
by step, on a sequence that it has not been trained on.
"""

import re

import experiment  # first: it quiets TensorFlow
import keras
import numpy as np
import tensorflow as tf

import keras_seq
from keras_seq.inspection import gates, gradient_flow

QUICK = {"time": 20, "units": 8, "epochs": 1, "sequences": 128}


def arguments(add):
    add("--time", type=int, default=100, help="T, time steps of a sequence")
    add("--units", type=int, default=32, help="U, units of each layer")
    add("--sequences", type=int, default=1024, help="of an epoch")


def sequences(count, time, rng):
    """x (B, T, 1) and y (B,): the sign of the first step is the class, what follows is noise."""
    y = rng.integers(0, 2, size=count)
    x = rng.normal(size=(count, time, 1))
    x[:, 0, 0] = 4 * y - 2
    return x, y.astype("float64")


def recurrent_layers(units, time):
    """The layers that are compared, by name: functions that make them.

    SimpleRNN's recurrent kernel U starts as `gain` times an orthogonal matrix (Keras' start has
    gain 1), so all its singular values are the gain. Where the gain times the largest slope of the
    activation, 1/4 for sigmoid and 1 for tanh and ReLU, is below 1, gradients must vanish (Pascanu,
    Mikolov & Bengio 2013, section 2.1).
    """
    layers = keras_seq.layers

    def simple(activation, gain=1.0):
        def make():  # the initializer draws its seed here, after the seeds are set
            start = keras.initializers.Orthogonal(gain)
            return layers.SimpleRNN(units, activation=activation, recurrent_initializer=start)

        return make

    def remembering(layer_class, gate):
        """Bias log(u), u uniform in [1, T - 1], of the gate that keeps the past."""

        def bias(shape, dtype=None):
            # Tallec & Ollivier 2018, section 2: a unit with it forgets within about u time steps.
            value = np.zeros(shape)
            kept = slice(gate * units, (gate + 1) * units)
            value.reshape(-1, shape[-1])[0, kept] = np.log(np.linspace(1, max(time - 1, 1), units))
            return keras.ops.convert_to_tensor(value, dtype=dtype)

        extra = {"unit_forget_bias": False} if layer_class is layers.LSTM else {}
        return lambda: layer_class(units, bias_initializer=bias, **extra)

    return {
        "SimpleRNN, sigmoid": simple("sigmoid"),
        "SimpleRNN, tanh": simple("tanh"),
        "SimpleRNN, ReLU, U x 0.7": simple("relu", 0.7),
        "SimpleRNN, ReLU, U x 2": simple("relu", 2.0),
        "LSTM, forget bias 1": lambda: layers.LSTM(units),
        "GRU, update bias 0": lambda: layers.GRU(units),
        "LSTM, forget bias to log T": remembering(layers.LSTM, 1),
        "GRU, update bias to log T": remembering(layers.GRU, 0),
    }


def reach(norms):
    """norm at t = 1 / norm at t = T: below 1 the gradient shrinks on its way back."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return norms[0] / norms[-1]


def main(command_line=None):
    options = experiment.parse(
        __doc__, arguments, QUICK, command_line=command_line, epochs=8, batch_size=32
    )
    # Gradients that shrink to 1e-60 are still told from 0 (on JAX with JAX_ENABLE_X64=1).
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    rng = np.random.default_rng(options.seed)
    x, y = sequences(options.sequences, options.time, rng)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=options.seed)
    test = sequences(512, options.time, rng)
    batch = [part[:64] for part in test]
    flows, trained, rows = {}, {}, []
    for name, make_layer in recurrent_layers(options.units, options.time).items():
        keras.utils.set_random_seed(options.seed)
        layer = make_layer()
        inputs = keras.Input((options.time, 1))
        model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(layer(inputs)))
        optimizer = keras.optimizers.Adam(3e-3, clipnorm=1.0)
        model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
        (flows[name],) = gradient_flow(model, *batch).values()
        rows.append(f"{name:30}{reach(flows[name]):>20.1e}")
        if not options.epochs:
            continue
        file_name = re.sub(r"\W+", "_", name)
        experiment.train(
            options, model, dataset.batch(options.batch_size), monitor="loss", name=file_name
        )
        (trained[name],) = gradient_flow(model, *batch).values()
        outputs = keras.ops.convert_to_numpy(model(test[0]))[:, 0]  # called once: not compiled
        accuracy = np.mean((outputs > 0.5) == test[1])
        rows[-1] += f"{reach(trained[name]):>16.1e}{accuracy:>10.0%}"
        if not name.startswith("SimpleRNN"):
            path = options.output / f"gates_{file_name}.png"
            keras_seq.plots.gates(gates(layer, test[0][:1]), path, title=f"{name}, trained")
    print(f"\nT = {options.time}, U = {options.units}; ratio = |dL/dh(1)| / |dL/dh(T)|\n")
    trained_columns = f"{'ratio trained':>16}{'accuracy':>10}" if options.epochs else ""
    print(f"{'layer':30}{'ratio at the start':>20}{trained_columns}", *rows, sep="\n")
    for when, norms in (("before", flows), ("after", trained)):
        if norms:
            path = options.output / f"{when}_training.png"
            title = f"Gradient {when} training, T = {options.time}"
            keras_seq.plots.gradient_flow(norms, path=path, title=title)
            print(f"Picture: {path}")
    figures = {f"ratio at the start, {name}": reach(norms) for name, norms in flows.items()}
    experiment.report(options, figures)


if __name__ == "__main__":
    main()
