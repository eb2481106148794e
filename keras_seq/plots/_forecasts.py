"""Forecasts of a time series beside what came."""

import numpy as np

from keras_seq.plots._figure import check_path, line_style, new_figure, save

_PANEL = (8.0, 2.2)  # inches


def forecasts(past, truth, predictions, columns=None, title=None, path=None):
    """Draws the past of a series, what came after it, and what models forecast, a panel a column.

    Args:
        past: (P, D) numbers, the time steps before the forecast, or (P,).
        truth: (F, D) numbers, what came, or (F,).
        predictions: dict from the name of a model to its forecast, (F, D) or (F,).
        columns: the D names.
        title: Optional, above the panels.
        path: Optional file to save to; its suffix (.png, .svg or .pdf) chooses the format.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If the shapes do not fit each other, or `path` has an unknown suffix.
        OSError: If `path` cannot be written.

    Example:

    ```python
    import numpy as np
    from keras_seq.plots import forecasts

    hours = np.arange(72)
    series = np.sin(2 * np.pi * hours / 24)
    figure = forecasts(series[:48], series[48:], {"the same as yesterday": series[24:48]})
    print(len(figure.axes))  # 1
    ```
    """
    path = check_path(path)
    past, truth = _two_axes("past", past), _two_axes("truth", truth)
    predictions = {name: _two_axes(f"predictions[{name!r}]", p) for name, p in predictions.items()}
    count = past.shape[1]
    columns = [""] * count if columns is None else [str(column) for column in columns]
    if truth.shape[1] != count or len(columns) != count:
        raise ValueError(
            "`past`, `truth` and `columns` must have the same number of columns. Received: "
            f"past of shape {past.shape}, truth of shape {truth.shape}, {len(columns)} columns"
        )
    for name, prediction in predictions.items():
        if prediction.shape != truth.shape:
            raise ValueError(
                f"`predictions[{name!r}]` must have the shape of `truth`, {truth.shape}. "
                f"Received: {prediction.shape}"
            )
    figure = new_figure(figsize=(_PANEL[0], 0.5 + count * _PANEL[1]), layout="constrained")
    for i, column in enumerate(columns):
        axes = figure.add_subplot(count, 1, i + 1)
        lines = {name: prediction[:, i] for name, prediction in predictions.items()}
        _draw(axes, past[:, i], truth[:, i], lines)
        axes.set_title(column, size=11, loc="left", parse_math=False)
    axes.set_xlabel("time steps from the present")
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=len(names), frameon=False)
    if title:
        figure.suptitle(str(title), size=13, parse_math=False)
    save(figure, path)
    return figure


def _two_axes(name, array):
    array = np.asarray(array, dtype="float64")
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"`{name}` must have shape (time steps, columns) or (time steps,), neither 0. "
            f"Received: shape {array.shape}"
        )
    return array


def _draw(axes, past, truth, predictions):
    """Time 0 is the last value of the past, where all lines begin."""
    before, after = np.arange(1 - len(past), 1), np.arange(len(truth) + 1)
    axes.plot(before, past, color="0.3", linewidth=1.2)
    axes.plot(after, np.append(past[-1], truth), color="0.0", linewidth=1.8, label="truth")
    for i, (name, prediction) in enumerate(predictions.items()):
        axes.plot(after, np.append(past[-1], prediction), **line_style(i), lw=1.4, label=name)
    axes.axvline(0, color="0.6", linewidth=0.9, linestyle=(0, (3, 3)), zorder=0)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01)
