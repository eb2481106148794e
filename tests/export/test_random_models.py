"""Random functional models in LiteRT: built-in operators, and the numbers of the model's call."""

import pytest

from keras_seq.export import to_litert
from tests.stepping.random_models import random_model

QUICK = (0, 1, 2)


@pytest.mark.parametrize(
    "seed",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.thorough) for n in range(60)],
)
def test_a_random_model_agrees_with_litert_of_built_in_operators(seed, tmp_path):
    model, _, pieces = random_model(seed, rows=1)
    report = to_litert(model, tmp_path / "model.tflite", atol=1e-4)
    assert report.agrees, pieces
    assert report.ops and all(operator.isupper() for operator in report.ops)  # others: CamelCase
