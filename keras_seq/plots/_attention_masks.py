"""Masks of attention as pictures: which positions each query may look at."""

import collections.abc
import math

import numpy as np

from keras_seq.plots._figure import check_path, new_figure, save
from keras_seq.plots._fonts import Fonts

_CELL = 0.3  # inches
_PANELS_A_ROW = 3
_ALLOWED, _FORBIDDEN = "#3b6fb6", "#e8e8e8"


def attention_masks(masks, tokens=None, path=None, title=None):
    """Draws masks side by side: a row for each query, a column for each key.

    What a query may look at is blue, what is hidden from it gray.

    Args:
        masks: Dict from name to (T, S) booleans, `True` where a query may look.
        tokens: Optional S strings, or one string of S characters, to name rows and columns; rows
            are named where T is S.
        path: Optional file to save to; its suffix (.png, .svg or .pdf) chooses the format.
        title: Optional, above the panels.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        TypeError: If `masks` is no dict.
        ValueError: If there is no mask, one is not (T, S), the tokens do not fit, or `path` has an
            unknown suffix.
        OSError: If `path` cannot be written.

    Example:

    ```python
    import numpy as np
    from keras_seq.plots import attention_masks

    causal = np.tril(np.ones((4, 4), bool))
    padding = np.broadcast_to([True, True, True, False], (4, 4))
    masks = {"padding": padding, "causal": causal, "both": padding & causal}
    figure = attention_masks(masks, tokens=["a", "small", "dog", "<pad>"])
    print([axes.get_title() for axes in figure.axes])  # ['padding', 'causal', 'both']
    ```
    """
    from matplotlib.colors import ListedColormap

    path = check_path(path)
    masks = _check(masks)
    labels = _check_tokens(tokens, masks)
    fonts = Fonts(labels or [])
    columns = min(len(masks), _PANELS_A_ROW)
    rows = math.ceil(len(masks) / columns)
    height, width = np.max([mask.shape for mask in masks.values()], axis=0) * _CELL + 1.2
    figure = new_figure(figsize=(columns * width, rows * height + 0.3), layout="constrained")
    for i, (name, mask) in enumerate(masks.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        colors = ListedColormap([_FORBIDDEN, _ALLOWED])
        axes.imshow(mask, cmap=colors, vmin=0, vmax=1)
        axes.set_title(name, size=11, parse_math=False)
        axes.set_xlabel("key: looked at", size=9, color="0.35")
        axes.set_ylabel("query: looks", size=9, color="0.35")
        axes.set_xticks(np.arange(mask.shape[1] + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(mask.shape[0] + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        if labels:
            shown = [fonts.showable(label) for label in labels]
            axes.set_xticks(range(len(shown)), shown, rotation=90, size=9)
            if mask.shape[0] == len(shown):
                axes.set_yticks(range(len(shown)), shown, size=9)
            for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
                fonts.apply(label)
    if title:
        figure.suptitle(str(title), size=12, parse_math=False)
    save(figure, path)
    return figure


def _check(masks):
    if not isinstance(masks, collections.abc.Mapping):
        raise TypeError(
            f"`masks` must be a dict from name to (T, S) booleans. Received: {type(masks).__name__}"
        )
    arrays = {str(name): np.asarray(mask).astype(bool) for name, mask in masks.items()}
    shapes = {name: mask.shape for name, mask in arrays.items()}
    if not shapes or any(len(s) != 2 or 0 in s for s in shapes.values()):
        raise ValueError(
            "`masks` must hold at least one mask, each (T, S), neither of them 0. Received shapes: "
            f"{shapes}. Choose one example of a batch: mask[0]"
        )
    return arrays


def _check_tokens(tokens, masks):
    if tokens is None:
        return None
    labels = [str(token) for token in tokens]
    if any(mask.shape[1] != len(labels) for mask in masks.values()):
        raise ValueError(
            "`tokens` must hold one string for each column of every mask. Received: "
            f"{len(labels)} of them, and masks of shapes {[m.shape for m in masks.values()]}"
        )
    return labels
