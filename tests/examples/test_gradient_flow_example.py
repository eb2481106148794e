import importlib.util
import pathlib

import keras
import pytest

pytest.importorskip("matplotlib")

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def example():
    path = ROOT / "examples" / "gradient_flow.py"
    spec = importlib.util.spec_from_file_location("gradient_flow_example", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    yield module
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


def test_sigmoid_and_tanh_vanish_relu_does_either_and_open_gates_carry(example, tmp_path, capsys):
    example.main(["--time", "40", "--units", "8", "--path", str(tmp_path / "flow.png")])
    lines = [line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    names = example.recurrent_layers(8, 40)
    ratios = {
        line[0].strip(): float(line[1]) for line in lines if line and line[0].strip() in names
    }
    assert list(ratios) == list(names)
    assert ratios["SimpleRNN, sigmoid"] < 1e-20
    assert ratios["SimpleRNN, tanh"] < 1e-2
    assert ratios["SimpleRNN, ReLU, U x 0.7"] < 0.7**39  # the gain bounds each of 39 steps
    assert ratios["SimpleRNN, ReLU, U x 2"] > 1
    for kind, gate in (("LSTM", "forget bias"), ("GRU", "update bias")):
        (usual,) = [r for name, r in ratios.items() if name.startswith(kind) and "log" not in name]
        carried = ratios[f"{kind}, {gate} to log T"]
        assert 1e-2 < carried < 10 and usual < 1e-2 * carried
    assert (tmp_path / "flow.png").stat().st_size > 0
