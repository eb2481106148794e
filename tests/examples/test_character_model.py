import importlib.util
import json
import pathlib

import keras
import numpy as np
import pytest

from tests.examples.quick_run import run_quick

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


def test_the_script_trains_saves_and_writes(example, tmp_path):
    printed = run_quick("character_model", "--output", tmp_path / "out", folder=tmp_path)
    text = example.made_up_text(seed=0)
    cut = len(text) * 9 // 10
    assert f"{cut:,} characters to train on, {len(text) - cut:,} held out" in printed

    vocabulary = json.loads((tmp_path / "out" / "character_model.json").read_text())
    assert vocabulary == ["", *sorted(set(text))]
    loss, _, sample = printed.partition("Validation loss: ")[2].partition(" nats a character\n\n")
    assert float(loss) < np.log(len(vocabulary) - 1)  # a guess among its characters
    sample = sample[:-1]  # the line end of `print`
    assert sample.startswith("\n") and len(sample) == 1 + 40 and set(sample) <= set(text)

    saved = keras.models.load_model(tmp_path / "out" / "character_model.keras")
    held_out = np.array([vocabulary.index(c) for c in text[cut:]], "int32")
    starts = np.arange(0, len(held_out) - 16, 16)
    saved.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    again = saved.evaluate(*example.windows(held_out, starts, 16), batch_size=128, verbose=0)
    np.testing.assert_allclose(again, float(loss), atol=1e-3)


def test_a_prompt_with_characters_that_the_text_lacks_is_refused(example, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("abc " * 100, encoding="utf-8")
    with pytest.raises(SystemExit, match="--prompt needs characters of the text"):
        example.main(["--data", str(text), "--prompt", "xyz"])
