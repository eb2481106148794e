import importlib.util
import inspect
import math
import pathlib
import re

import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from keras_seq.stepping import Stepper
from tests.examples.quick_run import run_quick

ROOT = pathlib.Path(__file__).parents[2]
SMALL = {"V": 12, "N": 2, "H": 2, "D": 8, "inner_dim": 16, "length": 6}
INPUTS = {
    "source": np.array([[4, 5, 6, 7, 3], [9, 8, 3, 0, 0]], "int32"),
    "target": np.array([[2, 4, 5], [2, 6, 0]], "int32"),
}


@pytest.fixture(scope="module")
def example():
    path = ROOT / "examples" / "vaswani_2017.py"
    spec = importlib.util.spec_from_file_location("vaswani_2017", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_equal_weights_give_equal_outputs(example):
    by_hand, model = example.written_out(**SMALL), example.in_one_call(**SMALL)
    rng = np.random.default_rng(0)
    by_hand.set_weights([rng.normal(size=w.shape) for w in by_hand.weights])
    before = numpy(model(INPUTS))
    example.copy_weights(by_hand, model)
    expected, got = numpy(by_hand(INPUTS)), numpy(model(INPUTS))
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert np.abs(got - before).max() > 0.1


def test_both_can_be_stepped(example):
    for build in (example.written_out, example.in_one_call):
        Stepper(build(**SMALL)).check()


def papers_parameters(V, N, D, inner_dim):
    """Section 3, equation by equation; the heads of a matrix W^Q side by side are (D, D)."""
    attention = 4 * D * D  # W^Q, W^K, W^V, W^O: 3.2.2
    feed_forward = D * inner_dim + inner_dim + inner_dim * D + D  # equation 2
    norm = 2 * D  # gain and bias of Ba et al. 2016
    encoder = N * (attention + feed_forward + 2 * norm)
    decoder = N * (2 * attention + feed_forward + 3 * norm)
    return V * D + encoder + decoder  # one matrix of embeddings: 3.4


def test_the_base_model_has_the_papers_parameters(example):
    base = example.in_one_call(37000)
    assert base.count_params() == papers_parameters(37000, 6, 512, 2048)
    assert sum(example.parameters(base).values()) == 2 * base.count_params()  # and their total


def test_the_model_is_written_out_in_under_30_lines(example):
    assert len(inspect.getsource(example.written_out).splitlines()) < 30


def test_the_script_prints_a_table_and_finds_no_difference(tmp_path):
    printed = run_quick("vaswani_2017", folder=tmp_path)
    rows = {line[:24].strip(): line[24:].split() for line in printed.splitlines()}
    total = papers_parameters(100, 2, 16, 32)
    assert rows["total"] == [f"{total:,}"] * 2
    assert all(0 < float(milliseconds) < math.inf for milliseconds in rows["ms, B = 1, T = 8"])
    difference = re.fullmatch(r"largest difference of logits: (\S+), .*", printed.splitlines()[-1])
    assert float(difference[1]) < 1e-5
