import json

from tests.examples.quick_run import run_quick


def test_the_script_labels_frames_as_they_come_as_it_does_at_once(tmp_path):
    printed = run_quick("video_frames", "--output", tmp_path / "out", folder=tmp_path)
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())["figures"]
    assert figures["largest difference of streamed logits"] < 1e-4
    assert figures["accuracy a frame"] > figures["accuracy without the past"]
    assert (tmp_path / "out" / "frames.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "model.tflite").is_file() and "signature step" in printed
