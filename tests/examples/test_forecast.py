import json
import re

from tests.examples.quick_run import run_quick


def test_models_learn_and_forecast_online_what_they_forecast_in_one_call(tmp_path):
    output = tmp_path / "output"
    printed = run_quick("forecast", "--output", output, folder=tmp_path)
    figures = json.loads((output / "figures.json").read_text())["figures"]
    assert figures["test MSE of linear"] < 0.5 * figures["test MSE of repeat last"]
    online = dict(re.findall(r"^ +(\w+) +60 observations.* at most (\S+)$", printed, re.MULTILINE))
    assert sorted(online) == ["linear", "lstm"]
    assert all(float(difference) < 1e-4 for difference in online.values())
    assert (output / "forecasts.png").stat().st_size > 10_000
    assert (output / "model.tflite").exists()
