"""Attention weights as pictures: which source token each target token looked at."""

import dataclasses
import math

import numpy as np

from keras_seq.plots._figure import check_path, new_figure, save
from keras_seq.plots._fonts import Fonts

# All lengths are inches.
_CELL = 0.27
_SMALLEST_CELL = 0.15
_WIDEST_CELL = 0.75
_PAGE = 12.0  # rows of panels are kept within it where that is possible
_MARGIN = 0.15
_GAP = 0.25
_LABEL_GAP = 0.08
_LINE = 0.22  # a line of title or axis name
_COLOR_BAR = 0.14
_COLOR_BAR_LABELS = 0.45
_SHORTEST_BAR, _LONGEST_BAR = 0.8, 4.0
_HEADS_A_ROW = 4
_LONGEST_LABEL = 24  # characters


def attention_map(scores, source_tokens, target_tokens, title=None, path=None):
    """Draws the attention weights of one example.

    Each row is a target token, each column a source token, and the color says how much of its
    attention the one gave to the other. Characters that matplotlib's font lacks are drawn with
    another font of this machine, or as their code points (`U+C6D4`) where none has them. Blanks
    are drawn as "␣".

    Args:
        scores: (T, S) or (H, T, S) weights in [0, 1], such as one example of what
            `attention_scores` gives; heads are drawn side by side, at most 4 in a row.
        source_tokens: S strings, or one string of S characters.
        target_tokens: T strings, or one string of T characters.
        title: Optional, above the map.
        path: Optional file to save to; its suffix (.png, .svg or .pdf) chooses the format.

    Returns:
        `matplotlib.figure.Figure`, its size fit to the number of tokens.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If the scores are no weights, do not fit the tokens, or `path` has an unknown
            suffix.
        OSError: If `path` cannot be written.

    Example:

    ```python
    import numpy as np
    from keras_seq.plots import attention_map

    scores = np.random.default_rng(0).dirichlet(np.ones(4), size=(2, 3))  # (H, T, S)
    figure = attention_map(scores, ["▁ein", "▁klein", "er", "▁Hund"], ["▁a", "▁small", "▁dog"])
    print(len(figure.axes))  # 3: two heads and the color bar
    ```
    """
    return attention_maps([(scores, source_tokens, target_tokens, title)], path=path)


def attention_maps(examples, path=None, axis_names=("source", "target")):
    """Draws the attention weights of several examples in one picture.

    Args:
        examples: List of `(scores, source_tokens, target_tokens, title)`, each as in
            `attention_map`; the title may be `None`.
        path: Optional file to save to; its suffix (.png, .svg or .pdf) chooses the format.
        axis_names: What stands above the columns and beside the rows, for weights of another kind.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If there is no example, an example's scores are no weights or do not fit its
            tokens, or `path` has an unknown suffix.
        OSError: If `path` cannot be written.

    Example:

    ```python
    import numpy as np
    from keras_seq.plots import attention_maps

    weights = np.random.default_rng(0).dirichlet(np.ones(4), size=3)  # (T, S)
    figure = attention_maps([(weights, "2024", "May", "first"), (weights, "1999", "Jun", "second")])
    print(len(figure.axes))  # 3: two examples and the color bar
    ```
    """
    path = check_path(path)
    examples = [_check_example(example, i) for i, example in enumerate(examples)]
    if not examples:
        raise ValueError(
            "`examples` must hold at least one (scores, source_tokens, target_tokens, title). "
            "Received: none"
        )
    ruler = new_figure()
    fonts = Fonts([text for example in examples for text in example.texts()])
    blocks = [_Block(example, fonts, ruler) for example in examples]
    figure = _draw(blocks, fonts, axis_names)
    save(figure, path)
    return figure


@dataclasses.dataclass
class _Example:
    scores: np.ndarray  # (H, T, S)
    source: list
    target: list
    title: str

    def texts(self):
        return [*self.source, *self.target, self.title]


def _check_example(example, index):
    if not isinstance(example, (list, tuple)) or len(example) != 4:
        raise ValueError(
            f"`examples[{index}]` must be (scores, source_tokens, target_tokens, title). Received: "
            f"{type(example).__name__}"
            + (f" of length {len(example)}" if isinstance(example, (list, tuple)) else "")
        )
    scores, source, target, title = example
    scores = np.asarray(scores, dtype="float32")
    if scores.ndim not in (2, 3) or 0 in scores.shape:
        hint = " Choose one example of the batch: scores[0]" if scores.ndim == 4 else ""
        raise ValueError(
            "`scores` must have shape (T, S) or (H, T, S), none of them 0. Received: shape "
            f"{scores.shape}.{hint}"
        )
    source, target = list(source), list(target)
    if scores.shape[-2:] != (len(target), len(source)):
        raise ValueError(
            "`scores` must have a row for each target token and a column for each source token: "
            f"(..., {len(target)}, {len(source)}). Received: shape {scores.shape}. Cut padding off "
            "the scores: scores[..., :len(target_tokens), :len(source_tokens)]"
        )
    if not (scores.min() >= -0.01 and scores.max() <= 1.01):  # bfloat16 rounds; NaN fails, too
        raise ValueError(
            "`scores` must be attention weights, after the softmax, in [0, 1]. Received: values "
            f"from {scores.min():g} to {scores.max():g}"
        )
    scores = scores if scores.ndim == 3 else scores[np.newaxis]
    title = "" if title is None else str(title)
    return _Example(scores, [_label(t) for t in source], [_label(t) for t in target], title)


def _label(token):
    """A token as text that shows what it is: blanks, line ends and its own kind of space."""
    text = token.decode("utf-8", "replace") if isinstance(token, bytes) else str(token)
    if text and not text.strip(" ▁\u3000\xa0"):
        return "␣" * len(text)
    text = text.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"


class _Block:
    """One example, laid out in inches: its heads in a grid, labels above and on the left."""

    def __init__(self, example, fonts, ruler):
        self.scores = example.scores
        heads, target, source = example.scores.shape
        self.columns = min(heads, _HEADS_A_ROW)
        self.rows = math.ceil(heads / self.columns)
        self.title = fonts.showable(example.title)
        self.source = [fonts.showable(label) for label in example.source]
        self.target = [fonts.showable(label) for label in example.target]

        longest = self.columns * source
        cell = min(_CELL, max(_SMALLEST_CELL, _PAGE / longest))
        self.font_size = min(10.0, 72 * cell * 0.62)
        widths = [_measure(ruler, fonts, t, self.font_size)[0] for t in self.source]
        side = max(_measure(ruler, fonts, t, self.font_size)[0] for t in self.target)
        # Labels lie flat where the columns can be wide enough for them, else they stand.
        flat = max(cell, max(widths) + _LABEL_GAP / 2)
        self.upright = flat > cell and (flat > _WIDEST_CELL or longest * flat > _PAGE)
        self.cell = (cell if self.upright else flat, cell)
        height = max(widths) if self.upright else self.font_size / 72 * 1.3

        self.left = side + _LABEL_GAP + _LINE  # target labels and the word "target"
        self.head_line = _LINE if heads > 1 else 0.0
        self.top = height + _LABEL_GAP + _LINE + self.head_line
        self.top += 1.2 * _LINE if self.title else 0.0
        self.panel = (source * self.cell[0], target * self.cell[1])
        title_width = _measure(ruler, fonts, self.title, 12)[0]
        panels = self.columns * self.panel[0] + (self.columns - 1) * _GAP
        self.width = self.left + max(panels, title_width)
        self.row_height = self.panel[1] + _GAP + self.head_line
        self.height = self.top + self.rows * self.row_height - _GAP - self.head_line

    def draw(self, figure, x, y, fonts, axis_names):
        """Draw with the upper left corner at (x, y) inches from the figure's upper left."""
        width, height = figure.get_size_inches()
        left, top = x + self.left, y + self.top
        if self.title:
            title = figure.text(left / width, 1 - y / height, self.title, size=12, va="top")
            fonts.apply(title)
        image = None
        for head, weights in enumerate(self.scores):
            row, column = divmod(head, self.columns)
            x0 = left + column * (self.panel[0] + _GAP)
            y0 = top + row * self.row_height + self.panel[1]
            axes = figure.add_axes(
                (x0 / width, 1 - y0 / height, self.panel[0] / width, self.panel[1] / height)
            )
            image = axes.imshow(weights, cmap="viridis", vmin=0, vmax=1, aspect="auto")
            self._label_axes(axes, row == 0, column == 0, fonts)
            axes.set_xlabel(axis_names[0] if row == 0 else "", size=9, color="0.35")
            axes.set_ylabel(axis_names[1] if column == 0 else "", size=9, color="0.35")
            if len(self.scores) > 1:
                # Below the labels of the first row, right above every other panel.
                axes.set_title(f"head {head + 1}", size=9, color="0.35", pad=4)
        return image

    def _label_axes(self, axes, first_row, first_column, fonts):
        size = self.font_size
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.tick_params(length=0, pad=3)
        axes.spines[:].set_visible(False)
        axes.set_xticks(range(len(self.source)), self.source)
        axes.set_yticks(range(len(self.target)), self.target)
        axes.tick_params(labeltop=first_row, labelleft=first_column)
        for label in axes.get_xticklabels():
            fonts.apply(label).set(size=size, rotation=90 if self.upright else 0)
        for label in axes.get_yticklabels():
            fonts.apply(label).set(size=size)


def _draw(blocks, fonts, axis_names):
    """Place the blocks in rows, left to right, within the page, and a color bar on the right."""
    rows = [[]]
    for block in blocks:
        used = sum(b.width + 2 * _GAP for b in rows[-1])
        if rows[-1] and used + block.width > _PAGE:
            rows.append([])
        rows[-1].append(block)
    widths = [sum(b.width + 2 * _GAP for b in row) - 2 * _GAP for row in rows]
    heights = [max(b.height for b in row) for row in rows]
    bar = _GAP + _COLOR_BAR + _COLOR_BAR_LABELS
    width = 2 * _MARGIN + max(widths[0] + bar, *widths)
    height = 2 * _MARGIN + sum(heights) + 2 * _GAP * (len(rows) - 1)
    height = max(height, 2 * _MARGIN + rows[0][0].top + _SHORTEST_BAR)
    figure = new_figure(figsize=(width, height))
    y, image = _MARGIN, None
    for row, row_height in zip(rows, heights, strict=True):
        x = _MARGIN
        for block in row:
            image = block.draw(figure, x, y, fonts, axis_names)
            x += block.width + 2 * _GAP
        y += row_height + 2 * _GAP
    top = _MARGIN + rows[0][0].top
    tall = min(max(rows[0][0].panel[1], _SHORTEST_BAR), _LONGEST_BAR)
    bar_axes = figure.add_axes(
        (
            (_MARGIN + widths[0] + _GAP) / width,
            1 - (top + tall) / height,
            _COLOR_BAR / width,
            tall / height,
        )
    )
    color_bar = figure.colorbar(image, cax=bar_axes, ticks=[0, 0.5, 1])
    color_bar.outline.set_visible(False)
    color_bar.ax.tick_params(labelsize=9, length=2)
    return figure


def _measure(ruler, fonts, text, size):
    """Width and height of a text in inches."""
    drawn = fonts.apply(ruler.text(0, 0, text, size=size))
    box = drawn.get_window_extent(ruler.canvas.get_renderer())
    drawn.remove()
    return box.width / ruler.dpi, box.height / ruler.dpi
