"""Texts whose tokens are colored by a number each, such as what they add to a prediction."""

import numpy as np

from keras_seq.plots._attention_map import _measure
from keras_seq.plots._figure import check_path, new_figure, save
from keras_seq.plots._fonts import Fonts

# All lengths are inches.
_WIDTH = 9.0
_MARGIN = 0.2
_LINE = 0.27
_SIZE = 10.0  # points
_COLOR_BAR = 0.9  # with its labels, at the bottom


def token_scores(examples, path=None):
    """Draws texts, each token on a color that says how far its number is from zero.

    Blue is below zero, red above, and white is zero; the colors reach to the largest number of all
    texts. A blank or "▁" at the beginning of a token is the space before it.

    Args:
        examples: list of `(tokens, scores, title)`: N strings, (N,) numbers, and a line above the
            text, which may be `None`.
        path: Optional file to save to; its suffix (.png, .svg or .pdf) chooses the format.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If there is no example, tokens and scores differ in number, a score is not
            finite, or `path` has an unknown suffix.
        OSError: If `path` cannot be written.

    Example:

    ```python
    from keras_seq.plots import token_scores

    words = ["▁not", "▁a", "▁dull", "▁moment"]
    figure = token_scores([(words, [1.5, 0.1, -0.8, 0.2], "positive, 91 %")])
    print(len(figure.texts))  # 5: the title and four words
    ```
    """
    path = check_path(path)
    examples = [_check_example(i, *example) for i, example in enumerate(examples)]
    if not examples:
        raise ValueError(
            "`examples` must hold at least one (tokens, scores, title). Received: none"
        )
    fonts = Fonts([text for tokens, _, title in examples for text in (*tokens, title)])
    ruler = new_figure()
    lines = []  # of (text, x, score), score `None` of a title
    for tokens, scores, title in examples:
        if title:
            lines.append([(fonts.showable(title), 0.0, None)])
        lines += [*_broken_into_lines(tokens, scores, fonts, ruler), []]
    largest = max(float(abs(scores).max()) for _, scores, _ in examples) or 1.0
    figure = _draw(lines[:-1], largest, fonts)
    save(figure, path)
    return figure


def _check_example(i, tokens, scores, title=None):
    tokens, scores = [str(token) for token in tokens], np.asarray(scores, "float64")
    if not tokens or scores.shape != (len(tokens),) or not np.isfinite(scores).all():
        raise ValueError(
            f"`examples[{i}]` must have one finite score a token, and a token at least. Received: "
            f"{len(tokens)} tokens, scores of shape {scores.shape}: {scores.tolist()[:5]}"
        )
    return tokens, scores, "" if title is None else str(title)


def _broken_into_lines(tokens, scores, fonts, ruler):
    """Lists of `(text, x, score)`, no line wider than the page where a token is not."""
    lines, x = [[]], 0.0
    space = _measure(ruler, fonts, "a a", _SIZE)[0] - _measure(ruler, fonts, "aa", _SIZE)[0]
    for token, score in zip(tokens, scores, strict=True):
        begins_word = token[:1] in ("▁", " ", "\n")
        text = fonts.showable(token.lstrip("▁ \n"))
        width = _measure(ruler, fonts, text, _SIZE)[0] if text else 0.0
        x += space if begins_word and lines[-1] else 0.0
        if x + width > _WIDTH - 2 * _MARGIN and lines[-1]:
            lines.append([])
            x = 0.0
        lines[-1].append((text, x, score))
        x += width
    return lines


def _draw(lines, largest, fonts):
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    height = 2 * _MARGIN + len(lines) * _LINE + _COLOR_BAR
    figure = new_figure(figsize=(_WIDTH, height))
    colors = ScalarMappable(Normalize(-largest, largest), colormaps["coolwarm"])
    for i, line in enumerate(lines):
        y = 1 - (_MARGIN + (i + 0.5) * _LINE) / height
        for text, x, score in line:
            drawn = figure.text((_MARGIN + x) / _WIDTH, y, text, va="center", parse_math=False)
            fonts.apply(drawn).set_size(_SIZE)
            if score is None:
                drawn.set_color("0.35")
            else:
                box = {"facecolor": colors.to_rgba(score), "edgecolor": "none", "pad": 1.0}
                drawn.set_bbox({**box, "alpha": 0.7})
    axes = figure.add_axes((0.3, 0.5 / height, 0.4, 0.12 / height))
    bar = figure.colorbar(colors, cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)
    return figure
