import json

import keras

from keras_seq.training import SetPrediction
from tests.examples.quick_run import run_quick


def test_the_script_trains_scores_draws_and_exports(tmp_path):
    printed = run_quick("detect", "--output", tmp_path / "out", folder=tmp_path)
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())["figures"]
    assert set(figures) == {f"{s} AP{n}" for s in ("validation", "test") for n in (50, 75)}
    assert 0 <= figures["test AP75"] <= figures["test AP50"] <= 1
    assert figures["validation AP50"] > 0.05  # boxes at random hardly overlap any
    assert "test AP50: " in printed and "train: 256 images" in printed
    assert (tmp_path / "out" / "detections.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "model.tflite").is_file()
    trainer = keras.models.load_model(tmp_path / "out" / "model.keras")
    assert isinstance(trainer, SetPrediction)
    assert set(trainer.model.output) >= {"logits", "boxes"}
