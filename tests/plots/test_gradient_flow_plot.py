import numpy as np
import pytest

pytest.importorskip("matplotlib")

from keras_seq.plots._gradient_flow import gradient_flow

NORMS = {
    "tanh": 10.0 ** np.arange(-9, 1),
    "lstm": np.full(10, 0.5),
    "short": [0.1, 0.2],
}


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_each_name_has_a_line_and_a_place_in_the_legend():
    figure = gradient_flow(NORMS)
    (axes,) = figure.axes
    assert legend(figure) == list(NORMS)
    for line, norms in zip(axes.lines, NORMS.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, len(norms) + 1))
        np.testing.assert_array_equal(line.get_ydata(), norms)
    assert axes.get_xlabel() == "time step t" and axes.get_ylabel() == "norm of dL/dh(t)"


def test_the_norms_are_logarithmic_and_all_in_sight():
    axes = gradient_flow(NORMS).axes[0]
    assert axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    assert low < 1e-9 and 1 < high


def test_what_lies_sixty_decades_down_does_not_squeeze_the_rest():
    low, _ = gradient_flow({"a": [1e-200, 1e-50, 1.0]}).axes[0].get_ylim()
    assert 1e-65 < low < 1e-59


def test_a_norm_that_a_log_axis_cannot_show_is_told_in_the_legend():
    figure = gradient_flow({"gone": [0, 0, 0.1], "burst": [np.inf, np.nan, 1e30]})
    assert legend(figure) == ["gone (0 at 2 steps)", "burst (not finite at 2 steps)"]
    assert np.isnan(figure.axes[0].lines[0].get_ydata()[:2]).all()


def test_lines_differ_even_when_there_are_many():
    figure = gradient_flow({str(i): [1, 2] for i in range(25)})
    looks = {(line.get_color(), str(line.get_linestyle())) for line in figure.axes[0].lines}
    figure.canvas.draw()
    assert len(looks) >= 20 and len(legend(figure)) == 25


def test_the_legend_lies_beside_the_axes():
    figure = gradient_flow(NORMS)
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= figure.axes[0].get_window_extent().x1
    assert box.x1 <= figure.bbox.width


@pytest.mark.filterwarnings("error")
def test_lines_with_nothing_to_show_and_single_steps_are_drawn():
    for norms in ({"a": [0.0, 0.0]}, {"a": [np.nan]}, {"a": [1.0]}, {"_a": [1.0, 1.0]}):
        gradient_flow(norms, title="Costs $5, $6").canvas.draw()
    assert legend(gradient_flow({"_a": [1.0]})) == ["a"]


def test_the_figure_is_saved_with_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "flow.svg"
    gradient_flow(NORMS, path=path)
    assert [p.name for p in path.parent.iterdir()] == ["flow.svg"]


def test_wrong_norms_are_refused():
    with pytest.raises(TypeError, match="must be a dict from the name"):
        gradient_flow([1.0, 2.0])
    with pytest.raises(ValueError, match="at least one line"):
        gradient_flow({})
    with pytest.raises(ValueError, match=r"must have shape \(T,\)"):
        gradient_flow({"a": [[1.0]]})
    with pytest.raises(ValueError, match="0 or more"):
        gradient_flow({"a": [-1.0]})
    with pytest.raises(ValueError, match="must end in one of"):
        gradient_flow(NORMS, path="flow.txt")
