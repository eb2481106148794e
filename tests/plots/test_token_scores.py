import numpy as np
import pytest

pytest.importorskip("matplotlib")

from keras_seq.plots import token_scores


def boxes(figure):
    """Text and color of each token."""
    return {
        t.get_text(): t.get_bbox_patch().get_facecolor() for t in figure.texts if t.get_bbox_patch()
    }


def test_red_is_above_zero_and_blue_below_and_the_largest_is_the_strongest():
    figure = token_scores([(["▁good", "▁bad", "▁film", "▁worse"], [2.0, -1.0, 0.0, -2.0], None)])
    colors = boxes(figure)
    red, _, blue, _ = np.transpose(list(colors.values()))
    assert list(colors) == ["good", "bad", "film", "worse"]
    assert red[0] > blue[0] and blue[1] > red[1] and abs(red[2] - blue[2]) < 0.05
    assert blue[3] - red[3] > blue[1] - red[1]


def test_a_piece_of_a_word_follows_without_a_space():
    figure = token_scores([(["▁un", "like", "▁me"], [1, 1, 1], "a title")])
    title, un, like, me = (text.get_position()[0] for text in figure.texts)
    renderer = figure.canvas.get_renderer()
    width = {t.get_text(): t.get_window_extent(renderer).width for t in figure.texts}
    pixels = figure.get_size_inches()[0] * figure.dpi
    assert title == un
    assert like - un < (width["un"] + 4) / pixels  # the boxes have a margin of some pixels
    assert me - like > (width["like"] + 2) / pixels


def test_long_texts_go_on_in_further_lines_within_the_page():
    figure = token_scores([(["▁word"] * 120, np.linspace(-1, 1, 120), None)])
    x, y = np.transpose([text.get_position() for text in figure.texts])
    assert len(set(y)) > 3 and x.max() < 1
    assert (np.diff(y) <= 0).all()  # from the top to the bottom


def test_it_is_saved_and_scores_of_zero_are_no_error(tmp_path):
    path = tmp_path / "scores.png"
    token_scores([(["한국", "$1", "\n"], [0, 0, 0], "0 %")], path)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    "examples, message",
    [
        ([], "at least one"),
        ([(["a", "b"], [1.0], None)], r"`examples\[0\]`.*2 tokens, scores of shape \(1,\)"),
        ([(["a"], [np.nan], None)], "one finite score"),
    ],
)
def test_bad_examples_are_refused(examples, message):
    with pytest.raises(ValueError, match=message):
        token_scores(examples)
