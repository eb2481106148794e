"""Forecast a time series with linear, Markov, recurrent and Transformer models, side by side.

    python examples/forecast.py --dataset PATH/TO/ETTh1.csv
    python examples/forecast.py --dataset MY.csv --past 168 --future 24 --splits 0.7 0.1 0.2
    python examples/forecast.py --quick    # two models, on a series made up here

The task of the literature on ETTh1 (github.com/zhouhaoyi/ETDataset): 336 hours of seven columns of
an electricity transformer, and the 96 that follow; 8,640, 2,880 and 2,880 hours for training,
validation and test, all of whose windows count; mean squared error of the standardized columns.
Each model is trained with a learning rate that falls to zero, and the weights of the epoch with the
lowest validation error are kept. The best model by that error is exported.

One run, on a machine with five times as many processes as cores (the linear model takes 8 seconds
of processor time); published are 0.375 of DLinear and 0.370 of PatchTST (Nie et al. 2023, table 3):

                   weights  seconds  val MSE test MSE      MAE
    repeat last          0        0   1.5608   1.2944   0.7132
    linear          32,352       44   0.6718   0.3735   0.3945
    markov          48,352       40   1.0246   0.8630   0.6354
    lstm            62,112      128   0.8903   0.7765   0.6220
    transformer     69,760      463   0.6584   0.3807   0.4003

The linear, the Markov and the recurrent model are causal: they are then given the test split one
observation at a time, and forecast after each, as they would online. The recurrent model is trained
so, too, on a forecast after each of the 336 hours.
"""

import experiment  # isort: skip  (before Keras)

import time

import keras
import numpy as np

import keras_seq
from keras_seq.data import series

CELLS = {  # arguments of `forecaster`
    "linear": {},
    "markov": {},
    "lstm": {"num_layers": 1, "dropout": 0.5},
    "transformer": {"hidden_dim": 32, "dropout": 0.3},
}
QUICK = {
    "epochs": 3,
    "learning_rate": 5e-3,
    "past": 48,
    "future": 12,
    "splits": (0.7, 0.1, 0.2),
    "models": ["linear", "lstm"],
}


def arguments(add):
    add("--past", type=int, default=336, help="time steps that a model sees")
    add("--future", type=int, default=96, help="time steps to forecast")
    add("--splits", type=float, nargs=3, default=(8640, 2880, 2880), help="rows, or shares of them")
    add("--models", nargs="+", choices=CELLS, default=list(CELLS))
    add("--patch-size", type=int, default=24, help="time steps of a patch of the Transformer")


def made_up_series(hours=600):
    """Three columns: days and weeks, a slow drift, noise."""
    t, rng = np.arange(hours)[:, None], np.random.default_rng(0)
    day, week = 2 * np.pi * (t / 24 + [0, 0.2, 0.5]), 2 * np.pi * t / 168
    drift = np.cumsum(rng.normal(size=(hours, 3)) * 0.05, axis=0)
    return np.sin(day) + 0.5 * np.cos(week) + drift + 0.2 * rng.normal(size=(hours, 3))


def load_data(options, **named):
    if options.dataset is None and not options.quick:
        raise SystemExit("--dataset PATH/TO/ETTh1.csv is needed, or --quick for a made-up series")
    return series(
        made_up_series() if options.dataset is None else options.dataset,
        data_dir=options.data_dir,
        past=options.past,
        future=options.future,
        splits=tuple(int(s) if s >= 1 else s for s in options.splits),
        seed=options.seed,
        **{"batch_size": options.batch_size, **named},
    )


def build_model(options, data, cell, every_step=False):
    return keras_seq.models.forecaster(
        options.past,
        options.future,
        len(data.columns),
        cell,
        every_step=every_step,
        patch_size=options.patch_size,
        patch_stride=options.patch_size,
        **CELLS[cell],
    )


def train(options, data, cell):
    """Train one model; returns it with one forecast a window, and the seconds it took."""
    keras.utils.set_random_seed(options.seed)
    every_step = cell == "lstm"
    if every_step:  # each window has as many forecasts as hours, so that fewer windows do
        data = load_data(options, every_step=True, stride=12, batch_size=8)
    with experiment.strategy(options).scope():
        model = build_model(options, data, cell, every_step)
        steps = options.epochs * len(data.train)
        schedule = keras.optimizers.schedules.CosineDecay(options.learning_rate, steps)
        model.compile(keras.optimizers.Adam(schedule, clipnorm=1.0), "mse")
    history = experiment.train(options, model, data.train, data.validation, name=cell)
    direct = build_model(options, data, cell)
    direct.set_weights(model.get_weights())
    return direct, history.seconds


def compare(models, seconds, data):
    """Print the errors of all models on validation and test data, which is read here alone."""
    parts = [
        [np.concatenate(arrays) for arrays in zip(*dataset, strict=True)]
        for dataset in (data.validation, data.test)
    ]
    x, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    held_out = len(parts[0][0])  # windows of validation, those of the test after them
    print(f"\n{'':<12} {'weights':>9} {'seconds':>8} {'val MSE':>8} {'test MSE':>8} {'MAE':>8}")
    found, forecasts = {}, {}
    for name in ("repeat last", *models):
        if name == "repeat last":
            forecast, weights = np.repeat(x[:, -1:], data.future, axis=1), 0
        else:
            forecast = models[name].predict(x, batch_size=64, verbose=0)
            weights = models[name].count_params()
        squares, absolute = np.square(forecast - y), abs(forecast - y)[held_out:].mean()
        validation, test = squares[:held_out].mean(), squares[held_out:].mean()
        found[name] = {"validation": float(validation), "test": float(test)}
        forecasts[name] = forecast[held_out:]
        print(
            f"{name:<12} {weights:>9,} {seconds.get(name, 0):>8.0f} {validation:>8.4f} "
            f"{test:>8.4f} {absolute:>8.4f}"
        )
    return found, forecasts


def forecast_online(options, data, cell, model, hours):
    """Give a causal model the test split one observation at a time; compare with the whole call."""
    online = build_model(options, data, cell, every_step=True)
    online.set_weights(model.get_weights())
    start = data.starts["test"][0]
    x = data.scale(data.values[None, start : start + hours])  # (1, T, D)
    stepper = keras_seq.stepping.Stepper(online)
    state = stepper.get_initial_state(batch_size=1, max_length=hours)
    forecasts, times = [], []
    for t in range(hours):
        began = time.perf_counter()
        y, state = stepper.step(x[:, t : t + 1], state)  # (1, 1, F, D)
        forecasts.append(keras.ops.convert_to_numpy(y))
        times.append(time.perf_counter() - began)
    whole = keras.ops.convert_to_numpy(online(x))  # (1, T, F, D)
    difference = abs(np.concatenate(forecasts, axis=1) - whole).max()
    print(
        f"  {cell:<7} {hours} observations, {1e3 * np.median(times):.2f} ms each; forecasts differ "
        f"from those of the whole call by at most {difference:.1e}"
    )


def draw(options, data, forecasts, names):
    """The last two columns of the first test window, in the units of the data."""
    present = data.starts["test"][0] + options.past
    past, truth = np.split(data.values[present - options.future : present + options.future, -2:], 2)
    shown = {name: data.unscale(forecasts[name][0])[:, -2:] for name in names}
    path = options.output / "forecasts.png"
    keras_seq.plots.forecasts(past, truth, shown, columns=data.columns[-2:], path=path)
    print(f"Saved {path}")


def main(command_line=None):
    defaults = {"epochs": 8, "batch_size": 32, "learning_rate": 2e-3, "without": ["models"]}
    options = experiment.parse(
        __doc__, arguments, quick=QUICK, command_line=command_line, **defaults
    )
    data = load_data(options)
    print(data)
    models, seconds = {}, {}
    for cell in options.models:
        print(f"\n{cell}")
        models[cell], seconds[cell] = train(options, data, cell)

    found, forecasts = compare(models, seconds, data)
    best = min(models, key=lambda name: found[name]["validation"])
    print(f"\nThe lowest validation error is that of {best!r}.")
    draw(options, data, forecasts, models)
    print("\nOnline, one observation at a time:")
    for cell in models:
        if cell != "transformer":  # whose patches are those of one past
            forecast_online(options, data, cell, models[cell], options.past + options.future)
    figures = {f"test MSE of {name}": errors["test"] for name, errors in found.items()}
    experiment.report(options, figures, best=best, seconds=seconds)
    experiment.export(options, models[best], inputs=next(iter(data.test))[0].numpy()[:8])
    return found


if __name__ == "__main__":
    main()
