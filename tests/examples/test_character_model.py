import importlib.util
import json
import pathlib

import keras
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def example():
    path = ROOT / "examples" / "character_model.py"
    spec = importlib.util.spec_from_file_location("character_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_windows_hold_the_text_and_its_next_characters(example):
    inputs, targets = example.windows(np.arange(10, dtype="int32"), [0, 5], length=3)
    np.testing.assert_array_equal(inputs, [[0, 1, 2], [5, 6, 7]])
    np.testing.assert_array_equal(targets, [[1, 2, 3], [6, 7, 8]])


def test_both_recipes_have_at_most_the_weights_of_gpt_2_at_the_same_size(example):
    vocabulary, width, blocks, time = 65, 128, 4, 64
    norms = (2 * blocks + 1) * width
    most = (vocabulary + time) * width + blocks * 12 * width**2 + norms
    for recipe in example.RECIPES:
        options = example.parse_arguments(["--recipe", recipe])
        assert example.build_model(options, vocabulary).count_params() <= most


def test_the_example_trains_saves_and_writes(example, tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, " * 200, encoding="utf-8")
    sizes = "--steps 60 --warm-up 5 --length 16 --layers 1 --heads 2 --size 32 --batch-size 8"
    arguments = ["--data", str(text), "--output", str(tmp_path / "out"), "--prompt", "to be"]
    model, loss = example.main([*sizes.split(), *arguments, "--characters", "12"])
    assert loss < 1.5  # log 8 = 2.1 is a guess among its characters
    printed = capsys.readouterr().out
    assert "3,600 characters to train on, 400 held out, 8 different" in printed
    assert f"Validation loss: {loss:.4f}" in printed
    sample = printed.rstrip("\n").rpartition("\n")[2]
    assert sample.startswith("to be") and len(sample) == len("to be") + 12
    vocabulary = json.loads((tmp_path / "out" / "character_model.json").read_text())
    assert vocabulary == ["", *sorted(set("to be or not to be, "))]
    saved = keras.models.load_model(tmp_path / "out" / "character_model.keras")
    tokens = np.array([[1, 2, 3, 4]])
    np.testing.assert_allclose(saved(tokens), model(tokens), atol=1e-5)


def test_a_prompt_with_characters_that_the_text_lacks_is_refused(example, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("abc " * 100, encoding="utf-8")
    with pytest.raises(SystemExit, match="--prompt needs characters of the text"):
        example.main(["--data", str(text), "--prompt", "xyz"])
