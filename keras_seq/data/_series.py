"""A time series, from a file or arrays -> windows of the past and the values that follow."""

import dataclasses
import os

import numpy as np

from keras_seq.data._arguments import check_errors, check_one_of, check_positive, check_seed
from keras_seq.data._batch_plan import plan_batches
from keras_seq.data._pipeline import make_dataset
from keras_seq.data._series_table import read_tables
from keras_seq.data._series_windows import filler, find_segments, find_starts, statistics
from keras_seq.data._task_data import SplitSummary, TaskData


@dataclasses.dataclass(repr=False, kw_only=True)
class SeriesData(TaskData):
    """What `series` returns; `print` shows a summary.

    Attributes:
        train, validation, test: `tf.data.Dataset`s of batches `(inputs, labels)`, see `series`.
        columns, targets: names of the columns of the inputs and of the labels.
        past, future: numbers of time steps.
        values: (R, D) float64, all rows as they came, not scaled, with the columns of
            `all_columns`, one split or series after the other.
        all_columns: their names.
        times: (R,) datetime64, the dates of the rows, or `None`.
        starts: dict from split to (N,) integers: the row where each window begins. Its labels are
            the rows from `starts + past` on.
        mean, std: dicts from column to float, of the training rows; 0 and 1 without scaling, and a
            deviation of 1 for a constant column.
        dataset, summaries, dropped, sample: see `describe`.

    Example:

    ```python
    import numpy as np
    from keras_seq.data import series

    data = series(np.sin(np.arange(300) / 5), past=20, future=5, batch_size=8)
    inputs, labels = next(iter(data.test))
    degrees = data.unscale(labels)
    np.testing.assert_allclose(data.scale(degrees), labels, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(degrees[0, :, 0], data.values[data.starts["test"][0] + 20 :][:5, 0])
    ```
    """

    columns: tuple
    targets: tuple
    past: int
    future: int
    values: np.ndarray
    all_columns: tuple
    times: np.ndarray | None
    starts: dict
    mean: dict
    std: dict
    rows: dict
    steps: str

    unit = "windows"

    def scale(self, x, columns=None):
        """Values as they came -> values as the model gets them.

        Args:
            x: (..., D) numbers.
            columns: the D names; `None` means those of the inputs.

        Returns:
            NumPy array of the same shape, float32.
        """
        mean, std = self._statistics(columns or self.columns)
        return ((np.asarray(x, "float64") - mean) / std).astype("float32")

    def unscale(self, y, columns=None):
        """Labels or forecasts -> values in the units of the data, the inverse of `scale`.

        Args:
            y: (..., D) numbers.
            columns: the D names; `None` means those of the labels.

        Returns:
            NumPy array of the same shape, float64.
        """
        mean, std = self._statistics(columns or self.targets)
        return np.asarray(y, "float64") * std + mean

    def _statistics(self, columns):
        return np.array([self.mean[c] for c in columns]), np.array([self.std[c] for c in columns])

    def _histogram(self):
        return None, None, None

    def _facts(self):
        return [
            ("windows", f"{self.past:,} steps -> {self.future:,}"),
            ("inputs", _listed(self.columns)),
            ("labels", _listed(self.targets)),
            ("rows", ", ".join(f"{name} {count:,}" for name, count in self.rows.items())),
            *([("time step", self.steps)] if self.steps else []),
        ]


def _listed(names, most=8):
    shown = ", ".join(str(name) for name in names[:most])
    return f"{len(names):,}: {shown}" + (", ..." if len(names) > most else "")


def series(
    dataset,
    *,
    past,
    future=1,
    columns=None,
    targets=None,
    splits=(0.7, 0.1, 0.2),
    stride=1,
    every_step=False,
    scale="standard",
    data_dir=None,
    batch_size=32,
    seed=0,
    errors="raise",
):
    """Makes batches for a forecaster: windows of a time series and what follows them.

    A single series is cut in time: the first rows are for training, those after for validation,
    the last for the test. The first windows of validation and test look back into the split
    before, so that every row of theirs is forecast (as in the papers on Informer, DLinear and
    PatchTST); nothing is forecast in training that belongs to another split. Of several series,
    whole ones are held out, by a hash of their values. Splits that the dataset has stay as they
    are, and their windows lie in them.

    Rows are kept once, and windows are gathered batch by batch.

    Args:
        dataset: a CSV file with a line of column names; a folder with `train.csv`,
            `validation.csv` and `test.csv`, as far as there are any; an array (T,), (T, D), or (N,
            T, D) for N series; a dict from split to such arrays; the name of a TFDS dataset or a
            `tf.data.Dataset`, of one step an example, columns of shape () or (D,), or of one
            series an example, columns of shape (None,) or (T, D). A column named `date`,
            `datetime`, `time` or `timestamp` is kept as `times`.
        past: number of time steps that the model sees.
        future: number of time steps after them, to forecast.
        columns: names of the input columns (numbers for an array). `None` means all.
        targets: names of the columns to forecast. `None` means `columns`.
        splits: three shares of the rows of one series, or three numbers of rows, for training,
            validation and test. Shares are rounded down for training and test, validation has what
            is left. For ETTh1 it is `(8640, 2880, 2880)`.
        stride: time steps between the beginnings of windows.
        every_step: whether each of the `past` steps has a label, the `future` steps after it, for
            models that go step by step. Otherwise the last one alone has.
        scale: `"standard"` subtracts the mean of the training rows and divides by their standard
            deviation, column by column; `None` leaves values as they are.
        data_dir: where TFDS keeps its datasets.
        batch_size: windows of a batch.
        seed: int; the order of the training windows.
        errors: `"raise"`, or `"skip"` to leave out and count the windows with a row that lacks a
            number: empty, a text, NaN or infinite.

    Returns:
        A `SeriesData`. Inputs are (B, past, D), labels (B, future, targets); with `every_step`
        labels are (B, past, future, targets), or (B, past, targets) for `future=1`; all float32.
        Training batches are full and shuffled anew in each pass; validation and test are in order.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if there is no such dataset or column, a value is no number, or a split is too
            short for a window.

    References:
        - [Zhou et al., 2021](https://arxiv.org/abs/2012.07436), the splits

    Example:

    ```python
    import numpy as np
    from keras_seq.data import series

    hours = np.arange(1000)
    values = np.stack([np.sin(hours / 24), np.cos(hours / 24)], axis=1)
    data = series(values, past=48, future=12, targets=[0], batch_size=16)
    print(data.describe())
    inputs, labels = next(iter(data.train))
    assert inputs.shape == (16, 48, 2) and labels.shape == (16, 12, 1)
    ```
    """
    check_positive(past=past, future=future, stride=stride, batch_size=batch_size)
    check_one_of("scale", scale, ("standard", None))
    check_seed(seed)
    check_errors(errors)
    _check_splits(splits)

    wanted = None if columns is None else {*_as_list(columns), *_as_list(targets)}
    tables = read_tables(dataset, data_dir, errors, wanted)
    first = tables["train"]
    inputs = first.choose(columns, "columns")
    labels = inputs if targets is None else first.choose(targets, "targets")
    used = sorted({*inputs, *labels})
    bad = np.concatenate([table.bad(used, errors) for table in tables.values()])
    values = np.concatenate([table.values for table in tables.values()])
    segments, unused = find_segments(tables, splits, past)

    is_train = np.zeros(len(values), bool)
    for _, begin, end in segments["train"]:
        is_train[begin:end] = True
    mean, std = statistics(values[is_train], scale)
    scaled = ((values - mean) / std).astype("float32")

    pipelines, summaries, starts = {}, {}, {}
    for split, parts in segments.items():
        train = split == "train"
        starts[split], dropped = find_starts(split, parts, past + future, stride, bad)
        dropped |= tables[split].dropped if split in tables else {}
        plan = plan_batches(
            np.full((len(starts[split]), 1), past),
            batch_size=batch_size,
            shapes=[(past,)],
            drop_last=train,
        )
        if not len(plan):
            raise ValueError(
                f"`batch_size` must be at most {len(starts[split])}, the number of training "
                f"windows. Received: {batch_size}"
            )
        fill = filler(scaled, inputs, labels, starts[split], past, future, every_step)
        pipelines[split] = make_dataset(plan, fill, shuffle=train, seed=seed)
        summaries[split] = SplitSummary.of_plan(plan, dropped, np.full(len(starts[split]), past))

    rows = {split: sum(end - begin for _, begin, end in s) for split, s in segments.items()}
    if unused:
        rows["unused"] = unused
    window = starts["train"][0] + np.arange(past)
    return SeriesData(
        **pipelines,
        dataset=os.fspath(dataset) if isinstance(dataset, (str, os.PathLike)) else first.name,
        summaries=summaries,
        sample=(_shown(values[window][:, inputs]), _shown(scaled[window][:, inputs])),
        columns=tuple(first.columns[i] for i in inputs),
        targets=tuple(first.columns[i] for i in labels),
        past=past,
        future=future,
        values=values,
        all_columns=first.columns,
        times=_times(tables),
        starts=starts,
        mean=dict(zip(first.columns, mean.tolist(), strict=True)),
        std=dict(zip(first.columns, std.tolist(), strict=True)),
        rows=rows,
        steps=_time_steps(first),
    )


def _as_list(names):
    return [names] if isinstance(names, (str, int)) else names or []


def _check_splits(splits):
    try:
        kinds = {type(share) for share in splits}
        fits = len(splits) == 3 and all(share > 0 for share in splits)
    except TypeError:
        kinds, fits = set(), False
    if not (fits and (kinds == {int} or (kinds == {float} and sum(splits) < 1 + 1e-9))):
        raise ValueError(
            "`splits` must be three shares such as (0.7, 0.1, 0.2), or three numbers of rows such "
            f"as (8640, 2880, 2880), for train, validation and test. Received: {splits!r}"
        )


def _times(tables):
    times = [table.times for table in tables.values()]
    return None if any(t is None for t in times) else np.concatenate(times)


def _time_steps(table):
    """What the dates of a series say about its steps; empty where there are none."""
    if table.times is None:
        return ""
    if table.times.dtype.kind != "M":
        return f"unknown, as {table.times[0]!s} is no ISO 8601 date"
    times = table.times[~np.isnat(table.times)]
    steps, counts = np.unique(np.diff(times), return_counts=True)
    if len(steps) == 0:
        return ""
    usual = steps[np.argmax(counts)].item()
    if len(steps) == 1:
        return str(usual)
    others = int(counts.sum() - counts.max())
    return (
        f"UNEQUAL: {usual} but for {others:,} of {counts.sum():,}, from {steps[0].item()} to "
        f"{steps[-1].item()}"
    )


def _shown(window):
    """The first and last values of a window, column by column."""
    window = np.round(window.astype("float64"), 3)
    rows = [", ".join(f"{v:g}" for v in row[:4]) for row in (window[0], window[-1])]
    dots = ", ..." if window.shape[1] > 4 else ""
    return f"{window.shape[0]:,} steps, [{rows[0]}{dots}] to [{rows[1]}{dots}]"
