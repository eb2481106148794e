"""Figures that know nothing of windows or global state, and are saved whole or not at all."""

import os
import pathlib
import uuid

_SUFFIXES = (".png", ".svg", ".pdf")
COLORS = (
    "#3b6fb6",
    "#d9772b",
    "#3f9a5a",
    "#b8433f",
    "#7a5aa6",
    "#8a6a4f",
    "#d372b0",
    "#6b6b6b",
    "#a9a22a",
    "#2fa5b5",
)  # of lines, one after the other
_STYLES = ("-", (0, (5, 2)), (0, (1, 1.5)))  # after ten lines the colors come again


def line_style(i):
    """Color and dashes of the `i`-th line of a panel, as arguments of `axes.plot`."""
    style = _STYLES[i // len(COLORS) % len(_STYLES)]
    return {"color": COLORS[i % len(COLORS)], "linestyle": style}


def new_figure(**kwargs):
    """An empty `matplotlib.figure.Figure` that draws with Agg, apart from pyplot.

    Raises:
        ImportError: If matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "keras_seq.plots draws with matplotlib, which cannot be imported. Install it: "
            'pip install "keras_seq[plots]"'
        ) from error
    figure = Figure(**kwargs)
    FigureCanvasAgg(figure)
    return figure


def check_path(path):
    """`path` as a `pathlib.Path` that can be drawn to, or `None`; called before any work.

    Raises:
        TypeError: If `path` is neither a string nor a path.
        ValueError: If its suffix is unknown.
    """
    if path is None:
        return None
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            "`path` must be a string or a path to save the figure to, or None. Received: "
            f"{path!r} of type {type(path).__name__}"
        )
    path = pathlib.Path(path)
    if path.suffix.lower() not in _SUFFIXES:
        raise ValueError(
            f"`path` must end in one of {', '.join(_SUFFIXES)}, which chooses the format. "
            f"Received: {str(path)!r}"
        )
    return path


def save(figure, path):
    """Save a figure atomically, to a temporary file that is renamed; parents are created.

    Args:
        figure: `matplotlib.figure.Figure`.
        path: What `check_path` gave; `None` saves nothing.

    Raises:
        OSError: If `path` cannot be written.
    """
    if path is None:
        return
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=150)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(
            f"The figure cannot be written to `path` {str(path)!r}: {error}. Choose a file in a "
            "folder that can be written to."
        ) from error
