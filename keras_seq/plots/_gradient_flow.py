"""How much gradient reaches each time step: norms on a log scale, one line a layer or model."""

import collections.abc

import numpy as np

from keras_seq.plots._figure import check_path, line_style, new_figure, save

_DECADES = 60  # of the axis at most: what lies below is as good as nothing


def gradient_flow(norms, path=None, title=None):
    """Draws the norm of dL/dh_t against the time step, one line a layer or a model.

    The axis is logarithmic, so a gradient that vanishes or explodes is a straight line whose slope
    is its rate. A norm of 0, which has no logarithm, ends a line; the legend says so. The axis ends
    60 decades below the largest norm.

    Args:
        norms: Dict from name to (T,), such as `keras_seq.inspection.gradient_flow` gives; the
            lengths may differ.
        path: Optional file to save to; its suffix (.png, .svg or .pdf) chooses the format.
        title: Optional, above the axes.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        TypeError: If `norms` is no dict.
        ValueError: If there is no line, a line is not (T,) or has a negative norm, or `path` has an
            unknown suffix.
        OSError: If `path` cannot be written.

    Example:

    ```python
    from keras_seq.plots import gradient_flow

    figure = gradient_flow({"tanh": [1e-6, 1e-4, 1e-2], "lstm": [0.02, 0.02, 0.03]})
    print(figure.axes[0].get_yscale())  # log
    ```
    """
    from matplotlib.ticker import MaxNLocator

    path = check_path(path)
    norms = _check(norms)
    figure = new_figure(figsize=(8.0, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yscale("log")
    for i, (name, values) in enumerate(norms.items()):
        drawn = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        axes.plot(
            np.arange(1, len(values) + 1),
            drawn,
            **line_style(i),
            linewidth=1.8,
            marker="o" if np.isfinite(drawn).sum() == 1 else None,
            label=name + _missing(values),
        )
    _limit(axes, np.concatenate(list(norms.values())))
    axes.set_xlabel("time step t")
    axes.set_ylabel("norm of dL/dh(t)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=10))
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.02)
    legend = figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)
    if title:
        axes.set_title(str(title), size=12, loc="left", parse_math=False)
    save(figure, path)
    return figure


def _check(norms):
    if not isinstance(norms, collections.abc.Mapping):
        raise TypeError(
            "`norms` must be a dict from the name of a layer or model to (T,) norms, as "
            f"keras_seq.inspection.gradient_flow gives it. Received: {type(norms).__name__}"
        )
    if not norms:
        raise ValueError("`norms` must hold at least one line: {name: (T,)}. Received: none")
    lines = {}
    for name, values in norms.items():
        values = np.asarray(values, dtype="float64")
        if values.ndim != 1 or not len(values):
            raise ValueError(
                f"`norms[{name!r}]` must have shape (T,), one norm a time step. Received: shape "
                f"{values.shape}"
            )
        if (values < 0).any():
            raise ValueError(
                f"`norms[{name!r}]` must be norms, 0 or more. Received: {values.min():.4g}"
            )
        # A name that begins with "_" would be left out of the legend.
        lines[str(name).lstrip("_") or "?"] = values
    return lines


def _missing(values):
    """What the legend says of values that a log axis cannot show."""
    notes = []
    if (values == 0).any():
        notes.append(f"0 at {int((values == 0).sum())} steps")
    if not np.isfinite(values).all():
        notes.append(f"not finite at {int((~np.isfinite(values)).sum())} steps")
    return f" ({', '.join(notes)})" if notes else ""


def _limit(axes, values):
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        axes.set_ylim(0.1, 10)
        return
    top = values.max()
    lowest = max(values.min(), top * 10.0**-_DECADES)
    room = max(1.5, (top / lowest) ** 0.05)
    axes.set_ylim(lowest / room, top * room)
