"""The gates of a recurrent layer as pictures: units against time, one panel a gate."""

import collections.abc
import math

import numpy as np

from keras_seq.plots._figure import check_path, new_figure, save

_NAMES = {
    frozenset("ifgo"): {
        "i": "input gate i",
        "f": "forget gate f",
        "g": "candidate g",
        "o": "output gate o",
    },
    frozenset("zrg"): {"z": "update gate z", "r": "reset gate r", "g": "candidate g"},
}
_PANEL = (4.6, 2.8)  # inches
_PANELS_A_ROW = 2
_LONGEST_LABEL = 12  # characters
_MOST_LABELS = 40  # time steps that are labeled one by one


def gates(activations, path=None, row=0, tokens=None, title=None):
    """Draws the activations of each gate of one row, units against time.

    Gates with values in [0, 1] are drawn from white (closed) to dark (open), others, such as the
    candidate, from blue (negative) over white to red (positive); each panel has its scale beside
    it.

    Args:
        activations: What `keras_seq.inspection.gates(layer, x)` gives: a dict from gate name to
            (B, T, U).
        path: Optional file to save to; its suffix (.png, .svg or .pdf) chooses the format.
        row: Which row of the batch.
        tokens: Optional T strings, or one string of T characters: what stands at the time steps,
            written below them where there are at most 40.
        title: Optional, above the panels.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        TypeError: If `activations` is no dict, or `row` no int.
        ValueError: If the activations are no arrays (B, T, U) of one shape, there is no such row,
            the tokens do not fit, or `path` has an unknown suffix.
        OSError: If `path` cannot be written.

    Example:

    ```python
    import numpy as np
    import keras_seq
    from keras_seq.plots import gates

    x = np.random.default_rng(0).normal(size=(2, 10, 3)).astype("float32")
    layer = keras_seq.layers.GRU(6)
    layer(x)
    figure = gates(keras_seq.inspection.gates(layer, x), row=1)
    print([axes.get_title(loc="left") for axes in figure.axes[:3]])
    ```
    """
    path = check_path(path)
    activations = _check(activations)
    batch, time, _ = next(iter(activations.values())).shape
    row = _check_row(row, batch)
    tokens = _check_tokens(tokens, time)
    names = _NAMES.get(frozenset(activations), {})
    columns = min(len(activations), _PANELS_A_ROW)
    rows = math.ceil(len(activations) / columns)
    figure = new_figure(figsize=(columns * _PANEL[0], rows * _PANEL[1]), layout="constrained")
    panels = [figure.add_subplot(rows, columns, i + 1) for i in range(len(activations))]
    for axes, (name, values) in zip(panels, activations.items(), strict=True):
        image = _draw(axes, names.get(name, str(name)), values[row])
        _label_time(axes, time, tokens)
        figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02).outline.set_visible(False)
    if title:
        figure.suptitle(str(title), size=13, parse_math=False)
    save(figure, path)
    return figure


def _check(activations):
    if not isinstance(activations, collections.abc.Mapping):
        raise TypeError(
            "`activations` must be a dict from gate name to (B, T, U), as "
            "keras_seq.inspection.gates(layer, x) gives it. "
            f"Received: {type(activations).__name__}"
        )
    arrays = {name: _to_numpy(values) for name, values in activations.items()}
    shapes = {name: a.shape for name, a in arrays.items()}
    if len(set(shapes.values())) != 1 or any(len(s) != 3 or 0 in s for s in shapes.values()):
        raise ValueError(
            "`activations` must hold arrays of one shape (B, T, U), none of them 0. Received "
            f"shapes: {shapes}. Pass what inspection.gates(layer, x) gives; `row` chooses the row."
        )
    return arrays


def _to_numpy(values):
    if isinstance(values, (np.ndarray, list, tuple)):
        return np.asarray(values, dtype="float32")
    from keras import ops

    return ops.convert_to_numpy(values).astype("float32")


def _check_row(row, batch):
    if isinstance(row, bool) or not isinstance(row, (int, np.integer)):
        raise TypeError(f"`row` must be an int, the row of the batch. Received: {row!r}")
    if not -batch <= row < batch:
        raise ValueError(f"`row` must be in [0, {batch}), the rows of the batch. Received: {row}")
    return int(row)


def _check_tokens(tokens, time):
    if tokens is None:
        return None
    tokens = [str(token) for token in tokens]
    if len(tokens) != time:
        raise ValueError(
            f"`tokens` must hold one string for each of the {time} time steps. Received: "
            f"{len(tokens)} of them"
        )
    return [t if len(t) <= _LONGEST_LABEL else f"{t[: _LONGEST_LABEL - 1]}…" for t in tokens]


def _draw(axes, name, values):
    """One gate, values (T, U)."""
    from matplotlib.ticker import MaxNLocator

    finite = values[np.isfinite(values)]
    lowest, highest = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    if lowest >= 0 and highest <= 1:
        scale = {"cmap": "Blues", "vmin": 0.0, "vmax": 1.0}
    else:
        largest = max(1.0, abs(float(lowest)), abs(float(highest)))
        scale = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}
    image = axes.imshow(values.T, aspect="auto", interpolation="nearest", **scale)
    axes.set_title(name, size=11, loc="left", parse_math=False)
    axes.set_ylabel("unit")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=6))
    axes.spines[:].set_visible(False)
    return image


def _label_time(axes, time, tokens):
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("time step")
    if tokens is None or time > _MOST_LABELS:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=8))
        return
    upright = max(map(len, tokens)) > 1
    labels = axes.set_xticks(range(time), tokens, rotation=90 if upright else 0, size=8)
    for label in labels:
        label.label1.set_parse_math(False)
