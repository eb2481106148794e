import numpy as np
import pytest

pytest.importorskip("matplotlib")

from keras_seq.plots import curves

PANELS = {"accuracy": {"batch": [0.1, 0.5], "layer": [0.9, 0.8]}, "loss": {"batch": [2.0, 1.0]}}


def test_each_panel_has_its_lines_with_their_names():
    figure = curves(PANELS, [1, 64], x_label="rows")
    for axes, (title, lines) in zip(figure.axes, PANELS.items(), strict=True):
        assert axes.get_title(loc="left") == title and axes.get_xlabel() == "rows"
        assert [text.get_text() for text in axes.get_legend().get_texts()] == list(lines)
        for line, values in zip(axes.lines, lines.values(), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), [1, 64])
            np.testing.assert_array_equal(line.get_ydata(), values)


def test_powers_of_two_are_named_on_their_scale():
    axes = curves({"a": {"b": [1, 2, 3]}}, [1, 4, 16], x_scale="log2").axes[0]
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "4", "16"]


@pytest.mark.filterwarnings("error")
def test_gaps_and_odd_names_are_drawn(tmp_path):
    panels = {"$x, $y": {"_hidden": [np.nan, 1.0], "$a": [1.0, np.inf]}}
    figure = curves(panels, [0, 1], path=tmp_path / "curves.svg", title="Costs $5, $6")
    assert figure.axes[0].get_legend().get_texts()[0].get_text() == "hidden"
    assert (tmp_path / "curves.svg").exists()


def test_wrong_panels_are_refused():
    with pytest.raises(TypeError, match="dict from title to a dict"):
        curves({"batch": [1, 2]}, [0, 1])
    with pytest.raises(ValueError, match="as many values as `x`"):
        curves({"a": {"b": [1, 2, 3]}}, [0, 1])
    with pytest.raises(ValueError, match="as many values as `x`"):
        curves({"a": {}}, [0, 1])
    with pytest.raises(ValueError, match="`x_scale` must be"):
        curves({"a": {"b": [1]}}, [0], x_scale="log")


def test_many_lines_differ_and_their_names_hide_none_of_them():
    lines = {f"model {i}": [i, i + 1.0] for i in range(12)}
    figure = curves({"loss": lines}, [1, 2])
    (axes,) = figure.axes
    assert len({(line.get_color(), line.is_dashed()) for line in axes.lines}) == 12
    figure.draw_without_rendering()
    assert axes.get_legend().get_window_extent().x0 >= axes.get_window_extent().x1
