import numpy as np
import pytest

pytest.importorskip("matplotlib")

from keras_seq.plots import image_grid

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 3)).astype("uint8")


def test_each_image_stands_in_its_row_beside_its_caption(tmp_path):
    path = tmp_path / "grid.png"
    figure = image_grid(IMAGES, ["a dog", "two $ cats"], headers=["a", "b", "c"], path=path)
    for axes, image in zip(figure.axes, IMAGES.reshape(-1, 4, 5, 3), strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), image / 255, atol=1e-6)
    assert [figure.axes[i].get_ylabel() for i in (0, 3)] == ["a dog", "two $ cats"]
    assert [axes.get_title() for axes in figure.axes[:3]] == ["a", "b", "c"]
    assert path.stat().st_size > 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"images": IMAGES[0]}, r"`images` of image_grid.*\(3, 4, 5, 3\)"),
        ({"captions": ["one"]}, "`captions` of image_grid must be 2 texts.*1"),
        ({"headers": ["one"]}, "`headers` of image_grid must be 3 texts.*1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        image_grid(**{"images": IMAGES, "captions": ["a", "b"], **arguments})
