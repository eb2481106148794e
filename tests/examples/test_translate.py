import importlib.util
import pathlib
import re
import types

import pytest

from tests.examples.quick_run import run_quick

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def translate():
    spec = importlib.util.spec_from_file_location("translate", ROOT / "examples" / "translate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """What the script prints, and its folder of artifacts."""
    folder = tmp_path_factory.mktemp("translate")
    return run_quick("translate", "--output", folder / "out", folder=folder), folder / "out"


def check_reports(printed):
    equal = re.findall(r"^  tokens equal +([\d,]+) of ([\d,]+)$", printed, re.MULTILINE)
    assert len(equal) == 2 and all(same == compared for same, compared in equal)
    differences = re.findall(r"^  largest score difference +(\S+)", printed, re.MULTILINE)
    assert len(differences) == 2 and all(float(d) < 1e-3 for d in differences)
    assert re.fullmatch(r"Done in \d+ s", printed.splitlines()[-1])


def test_the_script_trains_and_translates_dates(script):
    printed, _ = script
    assert re.search(r"^Exact match: \d+\.\d\d %$", printed, re.MULTILINE)
    samples = re.findall(r"^  (.+)  ->  (\S*)(?:   \(expected (.+)\))?$", printed, re.MULTILINE)
    assert len(samples) > 4
    for _, written, expected in samples:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", expected or written)


def test_the_script_exports_files_that_give_equal_tokens(script):
    printed, output = script
    check_reports(printed)
    assert {path.name for path in output.iterdir()} == {
        "dates",
        "dates.tflite",
        "dates.keras",
        "dates.json",
        "dates_attention.png",
        "dates_learning_curves.png",
        "few_dates",
    }
    assert (output / "dates" / "1" / "saved_model.pb").exists()


def test_a_second_run_trains_nothing_and_verifies_the_exports(translate, script, capsys):
    translate.main(["--quick", "--output", str(script[1])])
    printed = capsys.readouterr().out
    assert "trained earlier" in printed and "Verifying the exports" in printed
    assert "Trained" not in printed
    check_reports(printed)


def test_on_real_text_bleu_is_printed_with_its_signature(translate, capsys):
    texts = ["the dog sees a small cat", "the cat sees the dog"]

    class Perfect:
        source_length = 10

        def source_tokenizer(self, sources):
            return [text.split() for text in sources]

        def __call__(self, sources):
            return sources

    options = translate.parse_arguments(["--dataset", "words"])
    translate.evaluate(options, types.SimpleNamespace(texts={"test": (texts, texts)}), Perfect())
    printed = capsys.readouterr().out
    assert "BLEU = 100.00" in printed and "signature nrefs:1" in printed


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--dataset", "no_such_dataset"], "no_such_dataset"),
        (["--source", "nothing"], "nothing"),
        (["--model", "markov"], "markov"),
    ],
)
def test_bad_arguments_are_answered(translate, tmp_path, arguments, message, capsys):
    with pytest.raises((ValueError, SystemExit)) as error:
        translate.main([*arguments, "--data-dir", str(tmp_path), "--output", str(tmp_path)])
    assert message in str(error.value) + capsys.readouterr().err
