"""Random graphs either step to the numbers of the model's own call or are refused."""

import keras
import numpy as np
from keras import ops

from keras_seq.stepping import Stepper
from tests.stepping.random_graphs import random_graph

REFUSALS = "cannot be stepped|not causal|gives only its last output|would be|Received"


def pytest_generate_tests(metafunc):
    count = 20 if keras.backend.backend() == "tensorflow" else 3
    if metafunc.config.getoption("--all-random-models"):
        count = 500
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(count))


def own_call(model, context, ids):
    inputs = {**context, "target": ids} if context else ids
    return ops.convert_to_numpy(model(inputs, training=False))


def stepped(stepper, context, ids, first):
    """Outputs of a prefill of `first` steps (0: none) and of single steps."""
    rows, time = ids.shape
    state, outputs = stepper.get_initial_state(rows, time, context or None), []
    if first:
        y, state = stepper.prefill(ids[:, :first], state)
        outputs.append(ops.convert_to_numpy(y))
    for t in range(first, time):
        y, state = stepper.step(ids[:, t : t + 1], state)
        outputs.append(ops.convert_to_numpy(y))
    return np.concatenate(outputs, axis=1)


def test_a_random_graph_steps_right_or_is_refused(seed):
    (model, context, pieces), ids = random_graph(seed)
    try:
        stepper = Stepper(model, target="target", self_check=False)
    except ValueError as error:
        assert any(word in str(error) for word in REFUSALS.split("|")), str(error)
        return
    try:
        expected = own_call(model, context, ids)
    except Exception as error:  # a layer as activation gets a mask that it cannot take
        assert "Softmax.call" in str(error)
        return
    for first in {0, seed % ids.shape[1]}:
        got = stepped(stepper, context, ids, first)
        np.testing.assert_allclose(
            got, expected, atol=1e-4 * max(1.0, np.abs(expected).max()), err_msg=f"{pieces}"
        )


def test_some_random_graphs_are_refused_and_some_are_not():
    refused = 0
    for number in range(20):
        try:
            Stepper(random_graph(number)[0].model, target="target", self_check=False)
        except ValueError:
            refused += 1
    assert 3 <= refused <= 17
