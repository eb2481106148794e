"""The pages of docs/tutorial: their code runs from the top, and does what they say."""

import pathlib
import re

import numpy as np
import pytest

import keras_seq

PAGES = pathlib.Path(keras_seq.__file__).parents[1] / "docs" / "tutorial"
FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def blocks(page):
    return FENCE.findall((PAGES / page).read_text(encoding="utf-8"))


def run(page):
    """The names that the code of a page leaves."""
    names = {"__name__": "example"}
    with keras_seq.layers.plain_loops():  # compiling them takes longer than these trainings
        for i, code in enumerate(blocks(page)):
            exec(compile(code, f"<{page} {i + 1}>", "exec"), names)
    return names


def test_the_model_of_the_first_page_writes_hello_and_a_markov_model_cannot():
    names = run("en/01_hello.md")
    assert names["before"] != names["after"] == "ello"
    assert names["written"] == "hello"
    assert names["recurrent_loss"] < 0.1
    np.testing.assert_allclose(names["markov_loss"], 2 * np.log(2) / 4, atol=0.01)


def test_one_layer_serves_all_five_shapes():
    names = run("en/02_five_shapes.md")
    assert names["error"] < 4  # the noise has 3
    sizes, colors = ("small", "large"), ("red", "green", "blue")
    size, color = sizes[names["size"][0]], colors[names["color"][0]]
    assert names["caption"] == f"a {size} {color} square </s>"
    assert names["right"].mean() > 0.95
    translated = [names["spanish"][i] for i in names["tokens"].ravel()]
    expected = [
        word
        for a, n in names["asked"]
        for word in (
            names["nouns"][names["english"][n]],
            names["adjectives"][names["english"][a]],
            "</s>",
        )
    ]
    assert translated == expected
    assert names["accuracy"] > 0.95


def test_models_that_see_three_steps_back_learn_what_the_others_cannot():
    names = run("en/03_looking_back.md")
    losses, best = names["losses"], names["best"]
    sees = {name: names["looks_back"](model) for name, model in names["models"].items()}
    assert [sees[name] for name in ("naive", "Markov", "AR(2)", "AR(3)")] == [0, 1, 2, 3]
    for name, steps in sees.items():
        if steps < 3:
            assert abs(losses[name] - np.log(8)) < 0.1
        else:
            assert 0.9 * best < losses[name] < best + 0.3
        if name in ("simple RNN", "LSTM", "GRU", "Transformer"):
            assert steps > 3
    assert names["by_chunk"][8] < 1.0
    assert names["by_chunk"][8] < names["by_chunk"][2]


@pytest.mark.parametrize("page", sorted(path.name for path in (PAGES / "en").glob("*.md")))
def test_the_korean_page_has_the_same_code(page):
    assert blocks(f"ko/{page}") == blocks(f"en/{page}")
