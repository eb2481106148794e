import json

import pytest

from tests.examples.quick_run import run_quick

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("normalization")
    output = folder / "out"
    run_quick("normalization", "--output", output, folder=folder)
    assert (output / "normalization.png").read_bytes().startswith(b"\x89PNG")
    return json.loads((output / "figures.json").read_text())["figures"]


def test_a_row_is_moved_by_others_under_batch_normalization_alone(figures):
    moved = {name: value for name, value in figures.items() if name.startswith("moved")}
    for name, value in moved.items():
        assert value > 0.01 if "batch normalization" in name else value < 1e-5
    assert len(moved) == 4


def test_layer_normalization_does_the_same_in_training_and_in_use(figures):
    for size in (2, 8):
        trained, used = (
            figures[f"accuracy, as {when}, layer normalization, {size} rows"]
            for when in ("trained", "used")
        )
        assert 0 < trained == used <= 1
