import json
import pathlib
import sys

import numpy as np
import pytest

from tests.examples.quick_run import run_quick

pytest.importorskip("matplotlib")
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples"))
import attention_maps

LAYOUTS = ("halves", "interleaved")


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attention_maps")
    run_quick("attention_maps", "--output", folder / "out", folder=folder)
    return folder / "out"


def test_every_figure_is_a_picture_and_all_are_on_one_sheet(output):
    names = {path.stem.partition("_")[2] for path in (output / "attention_maps").glob("?_*.png")}
    positions = {f"{kind}_{layout}" for kind in ("positions", "waves") for layout in LAYOUTS}
    assert names == {"encoder_heads", "encoder-decoder", "masks", "scale"} | positions
    for path in (output / "attention_maps").glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    assert (output / "attention_maps" / "sheet.png").exists()


def test_what_a_word_looks_at_is_summed_over_the_pieces_of_a_noun():
    pieces = ["▁the", "▁ani", "mal", "▁saw", "▁it", "▁.", "</s>"]
    weights = np.zeros((2, 7, 7))
    weights[0, 4, 1], weights[0, 4, 2], weights[0, 4, 0] = 0.5, 0.25, 0.25
    weights[1, 4, 3] = 1.0
    rows, names, figures = attention_maps.look_of_word({"encoder_0": weights}, pieces, "it")
    assert names == ["encoder_0, head 1", "encoder_0, head 2"]
    np.testing.assert_array_equal(rows, weights[:, 4])
    assert figures == {
        "it -> animal, mean of all heads": 0.375,
        "it -> animal, largest (encoder_0, head 1)": 0.75,
    }
    assert attention_maps.look_of_word({"encoder_0": weights}, pieces, "tired") is None


def test_unscaled_scores_saturate_the_softmax(output):
    figures = json.loads((output / "attention_maps" / "figures.json").read_text())["figures"]
    assert figures["largest weight, d = 1024, q k"] > 0.9
    # The largest of 32 weights of standard normal scores.
    assert 0.1 < figures["largest weight, d = 1024, q k / sqrt(d)"] < 0.35
