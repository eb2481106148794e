import json

import pytest

from tests.examples.quick_run import run_quick

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attention_maps")
    run_quick("attention_maps", "--output", folder / "out", folder=folder)
    return folder / "out"


def test_every_figure_is_a_picture_and_all_are_on_one_sheet(output):
    names = {path.stem.partition("_")[2] for path in (output / "attention_maps").glob("?_*.png")}
    positions = {f"{kind}_{layout}" for kind in ("positions", "waves") for layout in LAYOUTS}
    assert names == {"encoder_heads", "encoder-decoder", "masks", "scale"} | positions
    for path in (output / "attention_maps").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")
    assert (output / "attention_maps" / "sheet.png").exists()


LAYOUTS = ("halves", "interleaved")


def test_unscaled_scores_saturate_the_softmax(output):
    figures = json.loads((output / "figures.json").read_text())["figures"]
    assert figures["largest weight, d = 1024, q k"] > 0.9
    # The largest of 32 weights of standard normal scores.
    assert 0.1 < figures["largest weight, d = 1024, q k / sqrt(d)"] < 0.35
