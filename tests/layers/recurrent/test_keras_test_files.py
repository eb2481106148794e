"""Keras' own tests of its recurrent layers, run with ours in their place.

The test files come with Keras' wheel. In each, the name `layers` is replaced by one that gives our
classes, so that what the tests make is ours; `Bidirectional` and `StackedRNNCells` stay Keras'.
"""

import importlib
import types
import unittest

import keras
import pytest

import keras_seq as ks

OURS = ("LSTM", "GRU", "SimpleRNN", "RNN", "LSTMCell", "GRUCell", "SimpleRNNCell")
FILES = ("rnn", "simple_rnn", "lstm", "gru", "stacked_rnn_cells", "bidirectional")
IS_KERAS_CLASS = (
    "Bidirectional's fused path is for instances of Keras' own class, whatever else they can do"
)
EXCLUDED = {
    "bidirectional: test_fused_lstm_eligibility": IS_KERAS_CLASS,
    "bidirectional: test_fused_gru_eligibility": IS_KERAS_CLASS,
}


def module_of(file):
    try:
        return importlib.import_module(f"keras.src.layers.rnn.{file}_test")
    except ImportError:
        return None


def collected(file):
    """`(name, test case)` of every test in a file, parameterized ones one by one."""
    module = module_of(file)
    if module is None:
        return []
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    cases = [case for group in suite for case in group]
    return [
        (f"{file}: {case._testMethodName}", case)
        for case in cases
        if case._testMethodName != "test_session" and type(case).__module__ == module.__name__
    ]


def skip_reasons(case):
    """Reasons of pytest's own marks, which unittest does not know."""
    for mark in getattr(getattr(case, case._testMethodName), "pytestmark", []):
        if mark.name == "skipif" and mark.args[0]:
            yield mark.kwargs["reason"]


TESTS = dict(test for file in FILES for test in collected(file))


@pytest.mark.skipif(not TESTS, reason="this Keras was installed without its test files")
@pytest.mark.parametrize("name", TESTS)
def test_kerass_test_passes_with_our_layer(name, monkeypatch):
    if name in EXCLUDED:
        pytest.skip(EXCLUDED[name])
    file = name.split(":")[0]
    for reason in skip_reasons(TESTS[name]):
        pytest.skip(reason)
    namespace = types.SimpleNamespace(**vars(keras.layers))
    for ours in OURS:
        setattr(namespace, ours, getattr(ks.layers, ours))
    monkeypatch.setattr(module_of(file), "layers", namespace)
    result = unittest.TestResult()
    TESTS[name].run(result)
    if result.skipped:
        pytest.skip(result.skipped[0][1])
    assert not result.errors and not result.failures, (result.errors + result.failures)[0][1]


def test_at_most_four_tests_are_excluded():
    assert len(EXCLUDED) <= 4
    assert not TESTS or set(EXCLUDED) <= set(TESTS)
