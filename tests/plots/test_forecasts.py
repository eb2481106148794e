import numpy as np
import pytest

pytest.importorskip("matplotlib")

from keras_seq.plots import forecasts

PAST, TRUTH = np.arange(10.0).reshape(5, 2), np.arange(10.0, 16.0).reshape(3, 2)


def test_each_column_has_a_panel_with_the_past_the_truth_and_each_forecast():
    figure = forecasts(PAST, TRUTH, {"a": TRUTH + 1, "b": TRUTH - 1}, ["OT", "HUFL"])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["OT", "HUFL"]
    for i, axes in enumerate(figure.axes):
        past, truth, a, b = (line.get_xydata() for line in axes.lines[:4])
        np.testing.assert_array_equal(past, np.transpose([range(-4, 1), PAST[:, i]]))
        assert truth[0].tolist() == past[-1].tolist()  # the lines meet in the present
        np.testing.assert_array_equal(truth[1:], np.transpose([[1, 2, 3], TRUTH[:, i]]))
        np.testing.assert_array_equal(a[1:, 1], TRUTH[:, i] + 1)
        np.testing.assert_array_equal(b[1:, 1], TRUTH[:, i] - 1)


def test_a_series_of_one_column_needs_no_second_axis(tmp_path):
    path = tmp_path / "forecast.png"
    figure = forecasts(PAST[:, 0], TRUTH[:, 0], {"a": TRUTH[:, 1]}, title="one", path=path)
    assert len(figure.axes) == 1 and path.stat().st_size > 1000


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((PAST, TRUTH[:, :1], {}), "same number of columns.*truth of shape"),
        ((PAST, TRUTH, {"a": TRUTH[:2]}), r"`predictions\['a'\]`.*\(3, 2\).*\(2, 2\)"),
        ((PAST[None], TRUTH, {}), r"`past` must have shape.*\(1, 5, 2\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        forecasts(*arguments)
