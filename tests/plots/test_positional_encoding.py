import numpy as np
import pytest

pytest.importorskip("matplotlib")

import keras_seq as ks
from keras_seq.layers import sinusoidal_positions
from keras_seq.plots._positional_encoding import positional_encoding


def curves(figure):
    """Name in the legend and values of each line."""
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    return dict(zip(names, (line.get_ydata() for line in figure.axes[0].lines), strict=True))


def test_few_features_are_curves_with_their_formulas():
    interleaved = curves(positional_encoding(sinusoidal_positions(50, 4, "interleaved")))
    halves = curves(positional_encoding(sinusoidal_positions(50, 4)))
    formulas = ["sin(t)", "cos(t)", "sin(t / 100)", "cos(t / 100)"]
    assert list(interleaved) == [f"feature {i}: {f}" for i, f in enumerate(formulas)]
    assert list(halves) == [f"feature {i}: {formulas[j]}" for i, j in enumerate((0, 2, 1, 3))]
    t = np.arange(50)
    np.testing.assert_allclose(interleaved["feature 3: cos(t / 100)"], np.cos(t / 100), atol=1e-6)
    np.testing.assert_allclose(halves["feature 1: sin(t / 100)"], np.sin(t / 100), atol=1e-6)


def test_many_features_are_a_heatmap_of_position_against_feature():
    table = sinusoidal_positions(30, 64)
    axes = positional_encoding(table, title="Costs $5, $6").axes[0]
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), table)
    assert image.get_clim() == (-1, 1)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("feature", "position t")


def test_what_a_layer_adds_is_drawn():
    layer = ks.layers.PositionalEmbedding(5, 3, 7, kind="learned")
    layer(np.ones((1, 2)))
    figure = positional_encoding(layer)
    assert list(curves(figure)) == ["feature 0", "feature 1", "feature 2"]
    np.testing.assert_array_equal(np.stack([*curves(figure).values()], 1), layer.get_weights()[1])


@pytest.mark.filterwarnings("error")
def test_one_position_and_values_that_are_not_finite_are_drawn():
    positional_encoding(np.zeros((1, 2))).canvas.draw()
    positional_encoding(np.full((2, 9), np.nan)).canvas.draw()


def test_the_figure_is_saved_with_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "positions.png"
    positional_encoding(sinusoidal_positions(5, 16), path=path)
    assert [p.name for p in path.parent.iterdir()] == ["positions.png"]


def test_what_has_no_positions_is_refused():
    with pytest.raises(ValueError, match=r"must be \(T, D\) numbers.*shape \(3,\)"):
        positional_encoding([1, 2, 3])
    with pytest.raises(ValueError, match="of kind 'none'"):
        positional_encoding(ks.layers.PositionalEmbedding(5, 4, kind="none"))
    with pytest.raises(ValueError, match="no weights yet"):
        positional_encoding(ks.layers.PositionalEmbedding(5, 4, 3, kind="learned"))
    with pytest.raises(ValueError, match="must end in one of"):
        positional_encoding(sinusoidal_positions(5, 4), path="positions.txt")
