"""Texts and figures in TensorBoard's files, read back."""

import sys

import numpy as np
import pytest

from keras_seq.training import DrawFigures, SampleText, ScoreTexts
from tests.training.letters import LETTERS, Letters, alphabet, generator, pairs

tf = pytest.importorskip("tensorflow")
plt = pytest.importorskip("matplotlib.figure")


def records(folder):
    """`(tag, step, plugin, values)` of what was written."""
    for path in sorted(folder.glob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                tensor = tf.make_ndarray(value.tensor)
                plugin = value.metadata.plugin_data.plugin_name
                yield value.tag, event.step, plugin, tensor


def test_samples_and_translations_are_written_without_the_package_tensorboard(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # an import of it fails
    model = pairs()
    callbacks = [
        SampleText(generator(model), ["a"], Letters(), log_dir=tmp_path),
        ScoreTexts(lambda texts: ["b*c"], ["s"], ["r"], ["exact_match"], log_dir=tmp_path),
    ]
    model.fit(*alphabet(), epochs=2, callbacks=callbacks, verbose=0)
    written = {(tag, step): (plugin, text.item()) for tag, step, plugin, text in records(tmp_path)}
    assert set(written) == {(f"{t}/0", step) for t in ("sample", "translation") for step in (0, 1)}
    assert written["sample/0", 1] == ("text", f"    {LETTERS}".encode())
    lines = "    source     s\n    model      b*c\n    reference  r"
    assert written["translation/0", 0] == ("text", lines.encode())


def test_figures_are_written_as_pictures_of_their_size(tmp_path):
    model = pairs()

    def draw():
        figure = plt.Figure(figsize=(2, 1), facecolor=(1, 0, 0))
        return {"red": figure}

    model.fit(*alphabet(), epochs=2, callbacks=[DrawFigures(draw, tmp_path)], verbose=0)
    found = list(records(tmp_path))
    assert [(tag, step, plugin) for tag, step, plugin, _ in found] == [
        ("red", 0, "images"),
        ("red", 1, "images"),
    ]
    width, height, png = found[0][3].tolist()
    assert (width, height) == (b"200", b"100")
    image = tf.io.decode_png(png, channels=3).numpy()
    assert image.shape == (100, 200, 3)
    np.testing.assert_array_equal(image[50, 100], [255, 0, 0])


def test_what_draws_no_figure_is_refused(tmp_path):
    model = pairs()
    with pytest.raises(TypeError, match="must give a matplotlib.figure.Figure"):
        model.fit(*alphabet(), callbacks=[DrawFigures(lambda: None, tmp_path)], verbose=0)
    with pytest.raises(TypeError, match="`draw` of DrawFigures must be a function"):
        DrawFigures(None, tmp_path)
    with pytest.raises(ValueError, match="`log_dir` of DrawFigures must be a folder"):
        DrawFigures(draw=list, log_dir=None)


def test_without_tensorflow_a_log_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ImportError, match="`log_dir` of SampleText needs TensorFlow"):
        SampleText(list, ["a"], log_dir=tmp_path)
    SampleText(list, ["a"])
