import json

import pytest

from tests.examples.quick_run import run_quick

pytest.importorskip("ai_edge_litert")


def test_the_device_forecasts_and_writes_what_the_keras_models_do(tmp_path):
    output = tmp_path / "output"
    printed = run_quick("on_device", "--output", output, "--prompt", "The ", folder=tmp_path)
    figures = json.loads((output / "figures.json").read_text())["figures"]
    assert figures["largest difference from the whole call"] < 1e-5
    assert figures["text equal to the Keras model's, same seed"] == 1
    written = printed.partition("Character by character:\n")[2]
    assert written.startswith("The ") and "\n\nmilliseconds" in written[len("The ") + 40 :]
    assert (output / "forecast.png").read_bytes().startswith(b"\x89PNG")
