import keras
import numpy as np
import pytest

pytest.importorskip("matplotlib")

from keras_seq.plots import learning_curves

HISTORY = {
    "loss": [3.0, 2.0, 1.5, 1.2],
    "accuracy": [0.2, 0.4, 0.5, 0.6],
    "val_loss": [2.9, 2.1, 2.2, 2.3],
    "val_accuracy": [0.2, 0.35, 0.4, 0.38],
    "learning_rate": [0.1, 0.1, 0.05, 0.05],
}


def curves(axes):
    return {line.get_label(): line.get_xydata() for line in axes.lines if len(line.get_xdata()) > 2}


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_each_metric_has_a_panel_the_loss_first():
    figure = learning_curves(dict(reversed(HISTORY.items())))
    names = [axes.get_title(loc="left") for axes in figure.axes]
    assert names[0] == "loss" and sorted(names) == ["accuracy", "learning_rate", "loss"]
    found = curves(figure.axes[0])
    np.testing.assert_array_equal(found["train"], np.transpose([[1, 2, 3, 4], HISTORY["loss"]]))
    np.testing.assert_array_equal(
        found["validation"], np.transpose([[1, 2, 3, 4], HISTORY["val_loss"]])
    )


def test_the_history_of_a_fit_is_taken_with_its_epochs():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    x = np.ones((4, 2))
    history = model.fit(
        x, x[:, :1], validation_data=(x, x[:, :1]), initial_epoch=3, epochs=6, verbose=0
    )
    figure = learning_curves(history)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "mae"]
    assert curves(figure.axes[0])["train"][:, 0].tolist() == [4, 5, 6]


def test_the_best_validation_epoch_is_marked_in_every_panel():
    figure = learning_curves(HISTORY)
    loss, accuracy, rate = figure.axes
    assert "best: epoch 2, 2.1" in texts(loss)
    assert "epoch 2, 0.35" in texts(accuracy)
    assert "epoch 2" in texts(rate)
    for axes in figure.axes:
        assert any(list(line.get_xdata()) == [2, 2] for line in axes.lines)


def test_curves_are_named_beside_their_ends_and_apart():
    figure = learning_curves({"loss": [2.0, 1.0, 1.0], "val_loss": [2.0, 1.5, 1.0]})
    figure.canvas.draw()
    names = {t.get_text(): t.get_window_extent() for t in figure.axes[0].texts}
    lower, upper = sorted((names["train"], names["validation"]), key=lambda box: box.y0)
    assert lower.y1 <= upper.y0 + 2
    assert upper.x1 <= figure.bbox.width
    assert texts(learning_curves({"loss": [2.0, 1.0, 1.0]}).axes[0]) == []  # nothing to tell apart


def test_the_loss_is_logarithmic_from_two_decades_on():
    def scale(values):
        return learning_curves({"loss": values}).axes[0].get_yscale()

    assert scale([10, 1, 0.09]) == "log"
    assert scale([10, 1, 0.2]) == "linear"
    assert scale([10, 1, -0.01]) == "linear"


def test_epochs_are_whole_numbers():
    figure = learning_curves({"loss": [3, 2, 1]})
    figure.canvas.draw()
    ticks = figure.axes[0].get_xticks()
    assert (ticks == np.round(ticks)).all()


def test_rarer_validation_is_spread_over_the_epochs():
    figure = learning_curves({"loss": [7, 6, 5, 4, 3, 2, 1], "val_loss": [6, 5, 4]})
    assert curves(figure.axes[0])["validation"][:, 0].tolist() == [2, 4, 6]


@pytest.mark.filterwarnings("error")
def test_one_epoch_and_values_that_are_not_finite_are_drawn():
    nan = float("nan")
    for history in (
        {"loss": [1.0], "val_loss": [1.2]},
        {"loss": [1.0, nan, nan], "val_loss": [nan, 2.0, nan]},
        {"loss": [nan, nan], "val_loss": [nan, nan]},
        {"loss": [1.0, float("inf")]},
    ):
        learning_curves(history).canvas.draw()


def test_curves_are_saved_with_nothing_beside_them(tmp_path):
    path = tmp_path / "new" / "curves.svg"
    learning_curves(HISTORY, path=path, title="Costs $5, $6 a run")
    assert [p.name for p in path.parent.iterdir()] == ["curves.svg"]


def test_wrong_histories_are_refused():
    for empty in ({}, {"loss": []}, keras.callbacks.History()):
        with pytest.raises(ValueError, match="`history` must hold at least one epoch"):
            learning_curves(empty)
    with pytest.raises(TypeError, match=r"keras\.callbacks\.History.*Received: list"):
        learning_curves([1.0, 0.5])
    with pytest.raises(ValueError, match="must end in one of"):
        learning_curves(HISTORY, path="curves.txt")
