import importlib.util
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def translate():
    spec = importlib.util.spec_from_file_location("translate", ROOT / "examples" / "translate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path):
    """Parallel text of a task that is learnt at once: words to their first letters."""
    words = ["ant bee", "bee cat dog", "cat", "dog ant", "bee ant cat", "dog bee", "ant", "cat bee"]
    text = tmp_path / "words"
    text.mkdir()
    for split, repeats in (("train", 16), ("validation", 1), ("test", 1)):
        lines = words * repeats
        letters = [" ".join(w[0] for w in line.split()) for line in lines]
        (text / f"en.{split}.txt").write_text("\n".join(lines), encoding="utf-8")
        (text / f"xx.{split}.txt").write_text("\n".join(letters), encoding="utf-8")
    return text


def test_the_example_trains_translates_exports_and_is_quick_the_second_time(
    translate, folder, tmp_path, capsys
):
    output = tmp_path / "out"
    arguments = f"--dataset {folder} --tokenizer character --epochs 10 --size 16 --batch-size 16"
    arguments = [*arguments.split(), "--output", str(output), "--compare", "8"]
    translate.main(arguments)
    printed = capsys.readouterr().out
    assert "words" in printed and "BLEU" in printed and "signature nrefs:1" in printed
    assert printed.count("tokens equal") == 2
    left = {path.name for path in output.iterdir()}
    assert left == {
        "words",
        "words.tflite",
        "words.keras",
        "words.json",
        "words_attention.png",
        "words_learning_curves.png",
    }
    assert (output / "words" / "1" / "saved_model.pb").exists()
    translate.main(arguments)
    again = capsys.readouterr().out
    assert "trained earlier" in again and "Verifying the exports" in again
    assert again.count("tokens equal") == 2


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
