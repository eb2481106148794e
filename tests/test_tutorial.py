"""The pages of docs/tutorial: their code runs from the top, and does what they say."""

import pathlib
import re

import keras
import numpy as np
import pytest

import keras_seq

PAGES = pathlib.Path(keras_seq.__file__).parents[1] / "docs" / "tutorial"
FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)


tensorflow_only = pytest.mark.needs_tensorflow(
    reason="JAX compiles for minutes what TensorFlow has shown in seconds"
)


def blocks(page):
    return FENCE.findall((PAGES / page).read_text(encoding="utf-8"))


def pictures(page):
    """The names of the pictures that a page shows."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return re.findall(r"\(\.\./images/(\S+)\)", text)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a page: the names that its code leaves. It must draw the pictures that it shows."""
    monkeypatch.chdir(tmp_path)

    def run(page):
        names = {"__name__": "example"}
        with keras_seq.layers.plain_loops():  # compiling them takes longer than these trainings
            for i, code in enumerate(blocks(page)):
                if keras.backend.backend() == "jax":  # which is slow without
                    code = code.replace(", jit_compile=False", "")
                exec(compile(code, f"<{page} {i + 1}>", "exec"), names)
        assert {path.name for path in (tmp_path / "images").glob("*")} == set(pictures(page))
        return names

    return run


def test_the_model_of_the_first_page_writes_hello_and_a_markov_model_cannot(run):
    names = run("en/01_hello.md")
    assert names["before"] != names["after"] == "ello"
    assert names["written"] == "hello"
    assert names["recurrent_loss"] < 0.1
    np.testing.assert_allclose(names["markov_loss"], 2 * np.log(2) / 4, atol=0.01)


def test_one_layer_serves_all_five_shapes(run):
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


def test_models_that_see_three_steps_back_learn_what_the_others_cannot(run):
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


@tensorflow_only
def test_gradients_by_hand_are_those_of_keras_and_vanish_explode_or_pass_as_the_gates_say(run):
    names = run("en/04_gradients.md")
    np.testing.assert_allclose(names["by_hand"], names["by_keras"], atol=1e-6)
    reach = {name: norm[0] / norm[-1] for name, norm in names["flow"].items()}
    assert reach["simple RNN, tanh"] < 0.01
    assert reach["simple RNN, ReLU, U x 0.7"] < 0.7**48  # its slopes are at most 1
    assert reach["simple RNN, ReLU, U x 3"] > 1e6
    assert reach["LSTM, forget gates 0.73"] < 0.01
    assert reach["LSTM, forget gates 0.99"] > 0.1
    assert names["lengths"][0] > 1e3
    np.testing.assert_allclose(names["lengths"][1], 1.0, rtol=1e-3)
    np.testing.assert_allclose(names["cosine"], 1.0, atol=1e-3)
    assert names["error"] < 0.1
    assert names["at_flag"] > 1.5 * names["elsewhere"]
    assert names["keeps"]["at"] < names["keeps"]["after"] - 0.1


@tensorflow_only
def test_attention_does_what_its_equations_say_and_looks_at_the_noun_that_is_meant(run):
    names = run("en/05_attention.md")
    np.testing.assert_allclose(names["by_hand"], names["by_layer"], atol=1e-5)
    np.testing.assert_allclose(names["variance"]["q k"], names["sizes"], rtol=0.1)
    np.testing.assert_allclose(names["variance"]["q k / sqrt(d)"], 1.0, rtol=0.1)
    largest = names["largest"]
    assert largest["q k"][-1] > 0.9
    assert max(largest["q k / sqrt(d)"]) < 0.4
    assert np.all((names["weights"] > 0) == names["masks"]["both"])
    np.testing.assert_allclose(*names["shuffled"], atol=1e-6)
    np.testing.assert_array_equal(names["reordered"], names["interleaved"])
    for scores in names["products"].values():
        for distance in (-5, 0, 3):
            diagonal = np.diagonal(scores, distance)
            np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-3)
        assert np.ptp(scores[:, 0]) > 1  # other distances have other products
    assert names["right"].mean() > 0.9
    assert names["on_meant"] > 0.2
    assert names["on_meant"] > 2 * names["on_other"]
    np.testing.assert_allclose(names["by_block"], names["y"], atol=1e-6)
    assert names["moved"]["layer"] < 1e-5
    assert names["moved"]["batch"] > 0.1


@tensorflow_only
def test_steps_equal_the_call_and_beams_find_what_greedy_misses(run):
    names = run("en/06_step_by_step.md")
    np.testing.assert_allclose(np.stack(names["stepped"], axis=1), names["whole"], atol=1e-5)
    lengths, products, kept = (names[name] for name in ("lengths", "products", "kept"))
    assert products["attention"] == [T * (T + 1) // 2 for T in lengths]
    assert products["window of 16"] == [16 * T - 16 * 15 // 2 for T in lengths]
    assert kept["attention"][-1] > 15 * kept["attention"][0]  # 16 times as long
    assert len(set(kept["window of 16"])) == len(set(kept["LSTM"])) == 1
    assert names["texts"] == {"greedy": "the dog </s>", "beams": "a unicorn </s>"}
    table = names["greedy"].score([[3, 5, 2], [4, 7, 2]]).scores
    np.testing.assert_allclose(np.exp(table), [0.6 * 0.4, 0.4 * 0.9], rtol=1e-4)
    assert abs(names["share"] - 0.36) < 0.04  # four standard deviations
    assert names["streamed"] == names["texts"]["greedy"].split()
    assert names["report"].tokens_equal == names["report"].tokens > 0


@tensorflow_only
def test_forecasters_come_near_the_noise_that_repeating_the_past_does_not(run):
    errors = run("en/07_series.md")["errors"]
    for name in ("repeat last", "repeat last 12"):
        assert errors[name] > 0.5
    for name in ("least squares", "linear", "lstm", "transformer"):
        assert 0.03 < errors[name] < 0.15  # the variance of the noise is 0.04


@tensorflow_only
def test_images_are_read_captioned_and_searched_for_objects(run):
    names = run("en/08_images.md")
    assert (names["told"] == names["label"][700:]).mean() > 0.9
    assert names["on_sign"] > 2 / 9
    assert names["match"] > 0.8
    first, second = names["above"][[0, 4]]
    assert first > second + 0.3
    best = min(sum(names["cost"][[a, b], [0, 1]]) for a in range(3) for b in range(3) if a != b)
    assert names["total"] == best == 5
    assert all(ap > 0.6 for ap in names["precision"].values())


@tensorflow_only
def test_unseen_captions_are_drawn_right_and_the_likeliest_pictures_are_the_best(run):
    names = run("en/09_text_to_image.md")
    assert names["squared_error"] < 0.004
    np.testing.assert_allclose(names["chosen"], names["p"], atol=0.03)
    assert names["largest"][4.0] < 0.6 < 0.9 < names["largest"][1 / 16]
    assert names["right"].mean() > 0.8
    matches = names["matches"]
    assert matches[:, 0].mean() > matches.mean() + 0.05
    scores = np.take_along_axis(names["scores"], names["order"], axis=1)
    assert np.all(np.diff(scores, axis=1) <= 0)


@pytest.mark.parametrize("page", sorted(path.name for path in (PAGES / "en").glob("*.md")))
def test_the_korean_page_has_the_same_code_and_pictures(page):
    assert blocks(f"ko/{page}") == blocks(f"en/{page}")
    assert pictures(f"ko/{page}") == pictures(f"en/{page}")
    for name in pictures(f"en/{page}"):
        assert 0 < (PAGES / "images" / name).stat().st_size < 60_000
