"""Lines against one axis: what was measured for each value of something."""

import collections.abc

import numpy as np

from keras_seq.plots._figure import check_path, line_style, new_figure, save

_PANEL = (5.2, 3.6)  # inches
_INSIDE = 4  # so many names hide nothing of a panel


def curves(panels, x, path=None, x_label=None, x_scale="linear", title=None):
    """Draws lines over a common axis, in one panel or several side by side.

    Args:
        panels: Dict from the title of a panel to a dict from the name of a line to its N values.
            Not-finite values leave a gap.
        x: N numbers, the places of the values.
        path: Optional file to save to; its suffix (.png, .svg or .pdf) chooses the format.
        x_label: Optional, below the axes.
        x_scale: `"linear"` or `"log2"`, where the places are those of `x` alone.
        title: Optional, above the panels.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        TypeError: If `panels` is no dict of dicts.
        ValueError: If there is no line, one has not N values, or `x_scale` or the suffix of `path`
            is unknown.
        OSError: If `path` cannot be written.

    Example:

    ```python
    from keras_seq.plots import curves

    accuracy = {"batch": [0.4, 0.8, 0.9], "layer": [0.8, 0.9, 0.9]}
    figure = curves({"accuracy": accuracy}, [1, 4, 16], x_label="rows", x_scale="log2")
    print(figure.axes[0].get_title(loc="left"))  # accuracy
    ```
    """
    path = check_path(path)
    x, panels = _check(panels, x)
    if x_scale not in ("linear", "log2"):
        raise ValueError(f"`x_scale` must be 'linear' or 'log2'. Received: {x_scale!r}")
    figure = new_figure(figsize=(len(panels) * _PANEL[0], _PANEL[1]), layout="constrained")
    for i, (name, lines) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), i + 1)
        for j, (label, values) in enumerate(lines.items()):
            axes.plot(x, values, marker="o", markersize=4, **line_style(j), label=label)
        if x_scale == "log2":
            axes.set_xscale("log", base=2)
            axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.set_title(name, size=11, loc="left", parse_math=False)
        axes.set_xlabel(x_label or "")
        axes.grid(axis="y", color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        beside = {"loc": "upper left", "bbox_to_anchor": (1, 1)} if len(lines) > _INSIDE else {}
        for text in axes.legend(frameon=False, fontsize=9, **beside).get_texts():
            text.set_parse_math(False)
    if title:
        figure.suptitle(str(title), size=13, parse_math=False)
    save(figure, path)
    return figure


def _check(panels, x):
    mapping = collections.abc.Mapping
    is_nested = isinstance(panels, mapping) and all(isinstance(p, mapping) for p in panels.values())
    if not is_nested:
        raise TypeError(
            "`panels` must be a dict from title to a dict from name to values. Received: "
            f"{type(panels).__name__}. One panel is {{title: {{name: values}}}}."
        )
    x = np.asarray(x, dtype="float64")
    checked = {
        # A name that begins with "_" would be left out of the legend.
        str(title): {str(k).lstrip("_"): np.asarray(v, dtype="float64") for k, v in lines.items()}
        for title, lines in panels.items()
    }
    shapes = {v.shape for lines in checked.values() for v in lines.values()}
    if x.ndim != 1 or shapes != {x.shape} or not all(checked.values()):
        raise ValueError(
            "`panels` must hold lines of as many values as `x` has, at least one a panel. "
            f"Received: x of shape {x.shape} and lines of shapes {sorted(shapes)}"
        )
    return x, checked
