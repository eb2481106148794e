"""Training on two replicas gives the weights of one device: masks, carried states, resumption."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

import keras_seq as ks

pytestmark = pytest.mark.needs_tensorflow(reason="replicas are those of tf.distribute")
SCRIPT = pathlib.Path(__file__).with_name("run_on_replicas.py")


def differences(how, *cases):
    """How far weights and losses are from those of one device, by case."""
    run = subprocess.run(
        [sys.executable, str(SCRIPT), how, *cases],
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(ks.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


def test_two_devices_give_the_weights_of_one():
    cases = ("mean of means", "masks", "carried states", "resumed all of training")
    report = differences("mirrored", *cases)
    assert report.pop("mean of means") > 1e-3  # what Keras' own losses give: the test can fail
    assert len(report) == 3 and max(report.values()) < 1e-6


@pytest.mark.thorough
def test_two_devices_give_the_weights_of_one_with_weights_and_after_a_break():
    cases = ("ignored class", "weights", "resumed masks", "resumed carried states")
    report = differences("mirrored", *cases)
    assert len(report) == 4 and max(report.values()) < 1e-6


@pytest.mark.thorough
def test_two_devices_in_half_precision_give_the_weights_of_one_within_it():
    report = differences("mirrored", "resumed all in float16", "resumed all in bfloat16")
    assert report["resumed all in float16"] < 1e-3  # 10 bits of a number, of sums in another order
    assert report["resumed all in bfloat16"] < 1e-2  # 7 bits


@pytest.mark.thorough
def test_two_processes_that_are_stopped_and_resumed_give_the_weights_of_one():
    report = differences("workers", "mean of means", "masks", "carried states")
    means = {name: report.pop(name) for name in list(report) if "means" in name}
    assert len(means) == 2 and min(means.values()) > 1e-3
    assert len(report) == 4 and max(report.values()) < 1e-6
