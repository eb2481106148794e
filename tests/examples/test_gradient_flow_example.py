import re

import pytest

from tests.examples.quick_run import run_quick

pytest.importorskip("matplotlib")

ROW = re.compile(r"^(\S.*?) {2,}(\S+) +(\S+) +(\d+)%$", re.MULTILINE)
STEPS_BACK = 20 - 1


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gradient_flow")
    printed = run_quick("gradient_flow", "--path", folder / "flow.png", folder=folder)
    assert printed.endswith(f"\nPicture: {folder / 'flow.png'}\n")
    assert (folder / "flow.png").read_bytes().startswith(b"\x89PNG")
    return printed


def test_every_layer_has_a_row_with_ratios_and_accuracy_after_training(printed):
    rows = ROW.findall(printed)
    assert len(rows) == 8
    for _, start, trained, accuracy in rows:
        assert 0 < float(start) < 1e6 and 0 < float(trained) < 1e6 and 0 <= int(accuracy) <= 100


def test_sigmoid_and_relu_vanish_a_larger_gain_explodes_and_open_gates_carry(printed):
    ratios = {name: float(start) for name, start, *_ in ROW.findall(printed)}
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
