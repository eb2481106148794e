import re

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from keras_seq.plots import detections, image_attention

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(3, 8, 12, 1))
WEIGHTS = RNG.dirichlet(np.ones(6), size=3).reshape(3, 2, 3)
FOUND = {
    "boxes": np.array([[[0.5, 0.5, 0.5, 0.25], [0.1, 0.1, 0.1, 0.1]]] * 3),
    "labels": np.array([[1, 0]] * 3),
    "scores": np.array([[0.9, 0.2], [0.4, 0.3], [0.8, 0.7]]),
}


def test_each_image_stands_above_itself_with_its_weights_over_all_of_it():
    figure = image_attention(IMAGES, WEIGHTS, titles=["a", "b", "c"])
    for i in range(3):
        plain, covered = figure.axes[i], figure.axes[3 + i]
        assert plain.get_title() == "abc"[i]
        np.testing.assert_allclose(plain.images[0].get_array(), IMAGES[i, :, :, 0], atol=1e-6)
        grid = covered.images[1]
        np.testing.assert_allclose(grid.get_array(), WEIGHTS[i], atol=1e-6)
        assert [*grid.get_extent()] == [*covered.images[0].get_extent()] == [-0.5, 11.5, 7.5, -0.5]
        assert grid.get_clim()[1] == pytest.approx(WEIGHTS[i].max())


def test_integers_and_colors_are_shown_as_they_are(tmp_path):
    images = RNG.integers(0, 256, (1, 4, 4, 3)).astype("uint8")
    figure = image_attention(images, np.ones((1, 2, 2)), path=tmp_path / "attention.png")
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), images[0] / 255, atol=1e-6)
    assert (tmp_path / "attention.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("images", "weights", "titles", "message"),
    [
        (IMAGES, WEIGHTS[:2], None, "a grid for each of the 3 images. Received: shape (2, 2, 3)"),
        (IMAGES, WEIGHTS - 1, None, "not negative"),
        (IMAGES, WEIGHTS, ["a"], "`titles` of image_attention must be 3"),
        (IMAGES[..., 0, 0], WEIGHTS, None, "`images` must be (N, H, W, C)"),
        (IMAGES + 1, WEIGHTS, None, "floats in 0 to 1, or integers in 0 to 255"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(images, weights, titles, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        image_attention(images, weights, titles)


def test_boxes_that_are_certain_enough_are_drawn_in_pixels_with_names_and_scores():
    figure = detections(IMAGES, FOUND, class_names=["dim", "bright"])
    assert [len(axes.patches) for axes in figure.axes] == [1, 0, 2]
    box = figure.axes[0].patches[0]
    # Of 12 x 8 pixels, whose edges are at -0.5: the center is at (5.5, 3.5).
    assert (box.get_x(), box.get_y(), box.get_width(), box.get_height()) == (2.5, 2.5, 6, 2)
    assert [text.get_text() for text in figure.axes[0].texts] == ["bright 90%"]


def test_true_boxes_are_dashed_and_padding_is_not_drawn():
    true = {"boxes": FOUND["boxes"], "labels": np.array([[0, -1], [1, 1], [-1, -1]])}
    figure = detections(IMAGES, FOUND, true, threshold=1.0)
    assert [len(axes.patches) for axes in figure.axes] == [1, 2, 0]
    assert figure.axes[0].patches[0].get_linestyle() == "--"


def test_sets_of_other_images_are_refused():
    with pytest.raises(ValueError, match="`found` of detections must have boxes and labels and"):
        detections(IMAGES[:2], FOUND)
    with pytest.raises(ValueError, match="`true` of detections must have boxes and labels"):
        detections(IMAGES, FOUND, {"boxes": FOUND["boxes"]})
