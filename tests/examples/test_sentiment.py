import json
import re

from tests.examples.quick_run import run_quick


def test_a_recurrent_model_learns_and_predicts_typed_texts(tmp_path):
    output = tmp_path / "output"
    texts = ["the film is great , the end is new", "the plot is dull , all of it is never fine"]
    printed = run_quick("sentiment", "--output", output, "--text", *texts, folder=tmp_path)
    figures = json.loads((output / "figures.json").read_text())["figures"]
    assert figures["test accuracy of gru"] >= 0.9
    predicted = re.findall(r"^  gru +(\w+) \(", printed, re.MULTILINE)
    assert predicted == ["pos", "neg"]
    assert (output / "token_scores.png").stat().st_size > 5_000
    assert (output / "model.tflite").exists()
