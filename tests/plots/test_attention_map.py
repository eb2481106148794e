import importlib.util
import itertools
import pathlib
import re
import warnings

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from keras_seq.plots import attention_map, attention_maps
from keras_seq.plots._fonts import Fonts

KOREAN = "2024년 12월 3일 화요일 오전 "


def weights(*shape):
    return np.random.default_rng(0).dirichlet(np.full(shape[-1], 0.3), size=shape[:-1])


def labels(figure, axis, axes=0):
    axis = getattr(figure.axes[axes], f"{axis}axis")
    return [label.get_text() for label in axis.get_ticklabels()]


def overlaps(figure, axis):
    """Pairs of neighboring labels that lie over one another once drawn."""
    figure.canvas.draw()
    drawn = getattr(figure.axes[0], f"{axis}axis").get_ticklabels()
    boxes = [label.get_window_extent() for label in drawn]
    return [
        (a, b)
        for a, b in itertools.pairwise(boxes)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]


def outside(figure):
    """Texts that are cut off at the figure's edge once drawn."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    width, height = figure.bbox.size
    texts = list(figure.texts)
    for axes in figure.axes:
        texts += [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.title]
        texts += [axes.xaxis.label, axes.yaxis.label]
    cut = []
    for text in texts:
        box = text.get_window_extent(renderer)
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
        if text.get_visible() and text.get_text() and box.width and not inside:
            cut.append(text)
    return cut


def test_a_map_shows_the_weights_with_the_tokens_along_its_sides():
    scores = weights(3, 4)
    figure = attention_map(scores, ["▁ein", "▁", "er", "$x$"], ["a", "b", "c"], title="Title")
    assert isinstance(figure, Figure)
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), scores, atol=1e-6)
    assert figure.axes[0].images[0].get_clim() == (0, 1)
    assert labels(figure, "x") == ["▁ein", "␣", "er", "$x$"]
    assert labels(figure, "y") == ["a", "b", "c"]
    assert [text.get_text() for text in figure.texts] == ["Title"]


def test_heads_stand_side_by_side_four_in_a_row():
    figure = attention_map(weights(6, 3, 4), "abcd", "xyz")
    heads = figure.axes[:6]
    assert [axes.get_title() for axes in heads] == [f"head {i}" for i in range(1, 7)]
    tops = [round(axes.get_position().y1, 6) for axes in heads]
    assert len(set(tops[:4])) == 1 and len(set(tops[4:])) == 1 and tops[4] < tops[0]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (KOREAN, "2024-12-03 화"),
        (["▁Internationalisation", "▁of", "▁text"], ["▁テキスト", "の"]),
        ([f"x{i}" for i in range(45)], [f"▁y{i}" for i in range(30)]),
        (["a"], ["b"]),
    ],
)
@pytest.mark.parametrize("heads", [1, 3])
def test_labels_neither_overlap_nor_leave_the_figure(source, target, heads):
    scores = weights(heads, len(target), len(source))
    figure = attention_map(scores, source, target, title="A title that is longer than the map")
    assert not overlaps(figure, "x")
    assert not overlaps(figure, "y")
    assert not outside(figure)


def test_several_examples_share_one_picture():
    examples = [
        (weights(3, 12), "abcdefghijkl", "xyz", "first"),
        (weights(2, 4, 5), "abcde", "wxyz", "second"),
        (weights(9, 40), "a" * 40, "b" * 9, None),
    ]
    figure = attention_maps(examples)
    assert len(figure.axes) == 1 + 2 + 1 + 1  # the maps and one color bar
    assert [text.get_text() for text in figure.texts] == ["first", "second"]
    assert not outside(figure)


def test_scripts_without_a_font_are_shown_by_code_point_and_without_warnings(monkeypatch):
    monkeypatch.setattr("keras_seq.plots._fonts._ranked_families", lambda first: ())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = attention_map(weights(2, 3), ["12", "월", "화요"], ["a월b", "c"], title="한")
        figure.canvas.draw()
    assert labels(figure, "x") == ["12", "U+C6D4", "U+D654 U+C694"]
    assert labels(figure, "y") == ["a U+C6D4 b", "c"]
    assert figure.texts[0].get_text() == "U+D55C"


def test_whatever_fonts_there_are_no_glyph_is_missing(tmp_path):
    tokens = [
        "월",
        "テキスト",
        "国際",
        "العربية",
        "हिन्दी",
        "\U0001f600",
        "\u200b",
        "\x07",
        "\t",
        "$",
        "",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for suffix in ("png", "svg", "pdf"):
            attention_map(weights(11, 11), tokens, tokens, path=tmp_path / f"map.{suffix}")


def test_a_font_is_taken_only_if_it_has_the_glyphs(monkeypatch):
    from matplotlib.font_manager import findfont

    # Two families that matplotlib brings along; only the second has a letter of the first's gap.
    families = tuple((name, str(findfont(name)), 0) for name in ("cmtt10", "STIXGeneral"))
    monkeypatch.setattr("keras_seq.plots._fonts._ranked_families", lambda first: families)
    fonts = Fonts(["aの", "월"])
    assert fonts.families[1:] == ["STIXGeneral"]
    assert fonts.showable("aの") == "aの"
    assert fonts.showable("월") == "U+C6D4"


def test_letters_of_a_syllable_are_composed():
    decomposed = "\u110b\u116f\u11af"
    assert Fonts([decomposed]).showable(decomposed) in ("월", "U+C6D4")


def test_tokens_may_be_bytes_blank_or_long():
    tokens = ["é".encode(), "  ", "\u3000", "a\nb", "x" * 40]
    figure = attention_map(weights(1, 5), tokens, ["y"])
    assert labels(figure, "x") == ["é", "␣␣", "␣", r"a\nb", "x" * 23 + "…"]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "PNG"])
def test_a_figure_is_saved_with_nothing_beside_it(tmp_path, suffix):
    path = tmp_path / "new" / "folders" / f"map.{suffix}"
    attention_map(weights(2, 3), "abc", "xy", path=str(path))
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix.lower()]
    assert path.read_bytes().startswith(start)


def test_a_figure_that_cannot_be_saved_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "map.png"
    path.write_bytes(b"old")

    def fails_half_way(figure, beside, **kwargs):
        pathlib.Path(beside).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fails_half_way)
    with pytest.raises(OSError, match=r"cannot be written to `path`.*map\.png.*disk full"):
        attention_map(weights(2, 3), "abc", "xy", path=path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unwritable_path_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match=r"cannot be written to `path`.*file/map\.png"):
        attention_map(weights(2, 3), "abc", "xy", path=tmp_path / "file" / "map.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OSError, match=r"folder\.png"):
        attention_map(weights(2, 3), "abc", "xy", path=tmp_path / "folder.png")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (weights(3, 3), r"(..., 2, 3). Received: shape (3, 3)"),
        (weights(1, 2, 2, 3), "scores[0]"),
        (weights(3), "must have shape (T, S) or (H, T, S)"),
        (np.full((2, 3), 2.0), "in [0, 1]. Received: values from 2 to 2"),
        (np.full((2, 3), np.nan), "in [0, 1]"),
    ],
)
def test_scores_that_are_no_weights_of_these_tokens_are_refused(scores, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        attention_map(scores, "abc", "xy")


def test_other_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"must end in one of \.png, \.svg, \.pdf.*'map\.gif'"):
        attention_map(weights(2, 3), "abc", "xy", path="map.gif")
    with pytest.raises(TypeError, match=r"`path` must be a string or a path.*3 of type int"):
        attention_map(weights(2, 3), "abc", "xy", path=3)
    with pytest.raises(ValueError, match="`examples` must hold at least one"):
        attention_maps([])
    with pytest.raises(ValueError, match=r"`examples\[0\]` must be.*length 2"):
        attention_maps([(weights(2, 3), "abc")])


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "keras_seq\[plots\]"'):
        attention_map(weights(2, 3), "abc", "xy")


def test_pyplot_is_left_alone():
    source = pathlib.Path(importlib.util.find_spec("keras_seq.plots").origin).parent
    assert not [p.name for p in source.glob("*.py") if "import pyplot" in p.read_text()]


def test_the_axes_have_the_names_that_are_given():
    figure = attention_maps([(weights(2, 2), "ab", "cd", None)], axis_names=("next", "read"))
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("next", "read")
