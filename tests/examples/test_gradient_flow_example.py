import re

import pytest

from tests.examples.quick_run import run_quick

pytest.importorskip("matplotlib")

ROW = re.compile(r"^(\S.*?) {2,}(\S+) +(\S+) +(\d+)%$", re.MULTILINE)
STEPS_BACK = 20 - 1


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """What the script prints, and its folder of pictures."""
    folder = tmp_path_factory.mktemp("gradient_flow")
    return run_quick("gradient_flow", "--output", folder / "out", folder=folder), folder / "out"


def test_every_layer_has_a_row_with_ratios_and_accuracy_after_training(script):
    rows = ROW.findall(script[0])
    assert len(rows) == 8
    for _, start, trained, accuracy in rows:
        assert 0 < float(start) < 1e6 and 0 < float(trained) < 1e6 and 0 <= int(accuracy) <= 100


def test_gradients_are_drawn_before_and_after_and_the_gates_of_the_trained_layers(script):
    printed, folder = script
    for when in ("before", "after"):
        assert f"\nPicture: {folder / when}_training.png\n" in printed
    pictures = [*folder.glob("*_training.png"), *folder.glob("gates_*.png")]
    assert len(pictures) == 2 + 4
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)


def test_sigmoid_and_relu_vanish_a_larger_gain_explodes_and_open_gates_carry(script):
    ratios = {name: float(start) for name, start, *_ in ROW.findall(script[0])}
    # An orthogonal U has singular values 1; times the largest slope they bound each step back.
    assert ratios["SimpleRNN, sigmoid"] < 0.25**STEPS_BACK
    assert ratios["SimpleRNN, tanh"] < 1
    assert ratios["SimpleRNN, ReLU, U x 0.7"] < 0.7**STEPS_BACK
    assert ratios["SimpleRNN, ReLU, U x 2"] > 1
    for usual, carrying in (
        ("LSTM, forget bias 1", "LSTM, forget bias to log T"),
        ("GRU, update bias 0", "GRU, update bias to log T"),
    ):
        assert ratios[usual] < 0.1 * ratios[carrying] and ratios[carrying] < 10
