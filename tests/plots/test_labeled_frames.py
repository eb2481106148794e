import numpy as np
import pytest

pytest.importorskip("matplotlib")

from keras_seq.plots import labeled_frames

CLIPS = [np.zeros((3, 4, 4, 1)), np.ones((2, 4, 4, 1))]


def test_each_frame_is_a_panel_under_its_label():
    figure = labeled_frames(CLIPS, [["a", "b", "c"], ["d", "e"]])
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c", "d", "e"]
    assert [float(axes.images[0].get_array().max()) for axes in figure.axes] == [0, 0, 0, 1, 1]


def test_wrong_labels_are_told_with_what_was_expected(tmp_path):
    path = tmp_path / "clips.svg"
    figure = labeled_frames(CLIPS, [["a", "b", "c"], ["d", "e"]], [["a", "x", "c"], "de"], path)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["a", "b / x", "c", "d", "e"]
    colors = [axes.title.get_color() for axes in figure.axes]
    assert colors.count(colors[0]) == 4 and colors[1] != colors[0]
    assert path.exists()


def test_labels_must_fit_the_clips():
    with pytest.raises(ValueError, match=r"`labels` .*clips of \[3, 2\] frames and \[3, 1\]"):
        labeled_frames(CLIPS, [["a", "b", "c"], ["d"]])
    with pytest.raises(ValueError, match="`expected` of labeled_frames"):
        labeled_frames(CLIPS, [["a", "b", "c"], ["d", "e"]], [["a"]])
    with pytest.raises(ValueError, match="at least one clip"):
        labeled_frames([], [])
