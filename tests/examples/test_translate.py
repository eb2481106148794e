import pathlib
import re
import sys
import types

import pytest

from tests.examples.quick_run import run_quick

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples"))
import translate


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """What the script prints, and its folder of artifacts."""
    folder = tmp_path_factory.mktemp("translate")
    return run_quick("translate", "--output", folder / "out", folder=folder), folder / "out"


def test_the_script_trains_and_translates_dates(script):
    printed, _ = script
    assert re.search(r"^exact match, %: \d+", printed, re.MULTILINE)
    samples = re.findall(r"^  (.+)  ->  (\S*)(?:   \(expected (.+)\))?$", printed, re.MULTILINE)
    assert len(samples) == 8
    for _, written, expected in samples:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", expected or written)


def test_the_script_exports_files_that_give_equal_tokens(script):
    printed, output = script
    equal = re.findall(r"^  tokens equal +([\d,]+) of ([\d,]+)$", printed, re.MULTILINE)
    assert len(equal) == 2 and all(same == compared for same, compared in equal)
    differences = re.findall(r"^  largest score difference +(\S+)", printed, re.MULTILINE)
    assert len(differences) == 2 and all(float(d) < 1e-3 for d in differences)
    assert (output / "1" / "saved_model.pb").exists() and output.with_suffix(".tflite").exists()
    assert (output / "attention.png").read_bytes().startswith(b"\x89PNG")


def test_texts_of_the_user_are_translated_by_the_trained_model(script, capsys):
    translate.main(["--quick", "--output", str(script[1]), "--text", "May 3, 2021", "3/5/2021"])
    printed = capsys.readouterr().out
    assert re.findall(r"^  (.+?)  ->", printed, re.MULTILINE) == ["May 3, 2021", "3/5/2021"]
    assert "Epoch 1/" not in printed and "Exporting" not in printed


def test_the_recipe_fills_in_what_the_command_line_leaves_open(tmp_path):
    def parse(*arguments):
        return translate.experiment.parse(
            "",
            translate.arguments,
            translate.QUICK,
            command_line=["--output", str(tmp_path), *arguments],
            name=translate.complete,
        )

    dates, text = parse(), parse("--dataset", "folder/multi30k", "--epochs", "3")
    assert (dates.model, dates.tokenizer, dates.epochs) == ("rnn", "character", 2)
    assert (text.model, text.tokenizer, text.epochs) == ("transformer", "bpe", 3)
    options = parse("--dataset", "folder/multi30k/", "--source", "de", "--model", "rnn")
    assert translate.complete(options) == "multi30k_de_rnn"


def test_on_real_text_bleu_is_given_with_its_signature(capsys):
    texts = ["the dog sees a small cat", "The cat sees the dog"]
    outputs = [texts[0], texts[1].lower()]
    figures, signatures = translate.evaluate(types.SimpleNamespace(task="text"), outputs, texts)
    assert figures["BLEU"] < figures["BLEU, lower case"] == pytest.approx(100)
    assert "case:mixed" in signatures["signature of BLEU"]
    assert "case:lc" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--dataset", "no_such_dataset"], "no_such_dataset"),
        (["--source", "nothing"], "nothing"),
        (["--model", "markov"], "markov"),
    ],
)
def test_bad_arguments_are_answered(tmp_path, arguments, message, capsys):
    with pytest.raises((ValueError, SystemExit)) as error:
        translate.main(["--quick", *arguments, "--output", str(tmp_path)])
    assert message in str(error.value) + capsys.readouterr().err
