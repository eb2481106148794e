import json
import re

from tests.examples.quick_run import run_quick

PARTS = ("whole-picture", "token")


def test_the_script_draws_pictures_and_exports_files_that_agree(tmp_path):
    output = tmp_path / "out"
    printed = run_quick("text_to_image", "--output", output, folder=tmp_path)
    figures = json.loads((output / "figures.json").read_text())["figures"]
    for captions in ("seen", "unseen"):
        pictures, tokens = (figures[f"{x} match, {captions} captions"] for x in PARTS)
        assert 0 <= pictures <= tokens <= 1
    assert (output / "pictures.png").stat().st_size > 0
    equal = re.findall(r"^  tokens equal +([\d,]+) of ([\d,]+)$", printed, re.MULTILINE)
    assert len(equal) == 2 and all(same == compared for same, compared in equal)
    assert len(re.findall("^  numbers compared", printed, re.MULTILINE)) == 2  # of the pictures
    assert {path.name for path in output.glob("*.tflite")} == {
        "text_to_tokens.tflite",
        "tokens_to_image.tflite",
    }
