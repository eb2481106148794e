"""How a model learned: the loss and every other metric, epoch by epoch."""

import collections.abc
import dataclasses
import math

import numpy as np

from keras_seq.plots._figure import check_path, new_figure, save

_COLORS = {"train": "#3b6fb6", "validation": "#d9772b"}
_PANEL = (4.6, 3.2)  # inches
_PANELS_A_ROW = 3
_LABEL_SPACING = 0.08  # of the panel's height, between the names at the ends of two curves
_RATIO_SCALES = ("loss", "perplexity", "learning_rate")  # endings of metrics that live in decades


def learning_curves(history, path=None, title=None):
    """Draws the loss and each other metric over the epochs, one panel each.

    The epoch with the lowest validation loss is marked in every panel. A loss that spans more than
    two decades is drawn on a log scale.

    Args:
        history: What `model.fit` returns, or its dict from metric name to one value an epoch.
            Validation values that are fewer (`validation_freq`) are spread evenly.
        path: Optional file to save to; its suffix (.png, .svg or .pdf) chooses the format.
        title: Optional, above the panels.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        TypeError: If `history` is neither a `keras.callbacks.History` nor a dict.
        ValueError: If the history is empty, or `path` has an unknown suffix.
        OSError: If `path` cannot be written.

    Example:

    ```python
    from keras_seq.plots import learning_curves

    figure = learning_curves({"loss": [2.1, 1.2, 0.7], "val_loss": [2.0, 1.4, 1.5]})
    print(figure.axes[0].get_title())  # loss
    ```
    """
    path = check_path(path)
    metrics = _metrics(history)
    best = _best_epoch(metrics)
    columns = min(len(metrics), _PANELS_A_ROW)
    rows = math.ceil(len(metrics) / columns)
    figure = new_figure(figsize=(columns * _PANEL[0], rows * _PANEL[1]), layout="constrained")
    for i, metric in enumerate(metrics):
        _draw(figure.add_subplot(rows, columns, i + 1), metric, best)
    if title:
        figure.suptitle(str(title), size=13, parse_math=False)
    save(figure, path)
    return figure


@dataclasses.dataclass
class _Metric:
    name: str
    curves: dict  # "train", "validation" -> (epochs, values), arrays of one length


def _metrics(history):
    """The metrics of a history that have values, the loss first."""
    values = getattr(history, "history", history)
    if not isinstance(values, collections.abc.Mapping):
        raise TypeError(
            "`history` must be what model.fit returns (keras.callbacks.History), or its dict from "
            f"metric name to values. Received: {type(history).__name__}"
        )
    values = {name: np.asarray(v, dtype="float64").reshape(-1) for name, v in values.items()}
    length = max((len(v) for v in values.values()), default=0)
    if not length:
        raise ValueError(
            "`history` must hold at least one epoch. Received: "
            f"{dict.fromkeys(values, 0) if values else 'no metrics'}. Call model.fit first."
        )
    epochs = np.asarray(getattr(history, "epoch", ()), dtype=int)
    epochs = epochs + 1 if len(epochs) == length else np.arange(1, length + 1)
    names = list(dict.fromkeys(name.removeprefix("val_") for name in values))
    names.sort(key=lambda name: name != "loss")  # stable: the others stay in order
    metrics = []
    for name in names:
        found = {"train": values.get(name, ()), "validation": values.get(f"val_{name}", ())}
        curves = {kind: (_spread(epochs, v), v) for kind, v in found.items() if len(v)}
        if curves:
            metrics.append(_Metric(name, curves))
    return metrics


def _spread(epochs, values):
    """The epochs of `values`: all, or every k-th where `validation_freq=k` left some out."""
    every = len(epochs) // len(values)
    return epochs[every - 1 :: every][: len(values)]


def _best_epoch(metrics):
    """The epoch of the lowest validation loss, or `None` where there is none."""
    for metric in metrics:
        if metric.name == "loss" and "validation" in metric.curves:
            epochs, values = metric.curves["validation"]
            if np.isfinite(values).any():
                return int(epochs[np.argmin(np.where(np.isfinite(values), values, np.inf))])
    return None


def _draw(axes, metric, best):
    from matplotlib.ticker import MaxNLocator

    for kind, (epochs, values) in metric.curves.items():
        marker = "o" if len(values) == 1 else None
        axes.plot(epochs, values, color=_COLORS[kind], label=kind, marker=marker, linewidth=1.8)
    everything = np.concatenate([values for _, values in metric.curves.values()])
    if metric.name.endswith(_RATIO_SCALES) and _spans_decades(everything):
        axes.set_yscale("log")
    axes.set_title(metric.name, size=11, loc="left", parse_math=False)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=8))
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.02, y=0.08)
    first = min(int(epochs[0]) for epochs, _ in metric.curves.values())
    last = max(int(epochs[-1]) for epochs, _ in metric.curves.values())
    if first == last:
        axes.set_xlim(first - 0.5, last + 0.5)
    axes.autoscale_view()  # else the limits are set only when the figure is drawn
    _name_curves(axes, metric)
    if best is not None:
        _mark(axes, metric, best)


def _spans_decades(values):
    values = values[np.isfinite(values)]
    return len(values) > 0 and values.min() > 0 and values.max() / values.min() > 100


def _name_curves(axes, metric):
    """Write each curve's name beside its end, apart from one another."""
    if list(metric.curves) == ["train"]:  # nothing to tell apart, as for a learning rate
        return
    ends = []
    for kind, (epochs, values) in metric.curves.items():
        finite = np.flatnonzero(np.isfinite(values))
        if len(finite):
            point = axes.transData.transform((epochs[finite[-1]], values[finite[-1]]))
            ends.append([float(axes.transAxes.inverted().transform(point)[1]), kind])
    ends.sort()
    if len(ends) == 2 and ends[1][0] - ends[0][0] < _LABEL_SPACING:
        middle = (ends[0][0] + ends[1][0]) / 2
        middle = min(max(middle, _LABEL_SPACING / 2), 1 - _LABEL_SPACING / 2)
        ends[0][0], ends[1][0] = middle - _LABEL_SPACING / 2, middle + _LABEL_SPACING / 2
    for height, kind in ends:
        axes.text(
            1.01,
            height,
            kind,
            transform=axes.transAxes,
            color=_COLORS[kind],
            size=9,
            va="center",
        )


def _mark(axes, metric, best):
    """A line at the best epoch, a dot where the validation curve meets it, its value above."""
    axes.axvline(best, color="0.6", linewidth=0.9, linestyle=(0, (3, 3)), zorder=0)
    label = f"epoch {best}"
    if "validation" in metric.curves:
        epochs, values = metric.curves["validation"]
        at = np.flatnonzero(epochs == best)
        if len(at) and np.isfinite(values[at[0]]):
            value = values[at[0]]
            axes.plot(best, value, "o", color=_COLORS["validation"], markersize=6)
            label = f"{'best: ' if metric.name == 'loss' else ''}{label}, {value:.4g}"
    left, right = axes.get_xlim()
    where = (best - left) / (right - left)
    axes.annotate(
        label,
        (best, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="left" if where < 0.2 else "right" if where > 0.8 else "center",
        va="bottom",
        size=8,
        color="0.35",
    )
