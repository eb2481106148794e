"""Every public layer and model at every target: exported, run and compared, or refused.

The cells of docs/exports.md. `--thorough` runs all of them.
"""

import pytest

from keras_seq import layers, models
from tests.export.matrix.instances import (
    LAYERS,
    MODELS,
    NO_LAYERS,
    NO_MODELS,
    instance,
    public_name,
)
from tests.export.matrix.outcomes import TARGETS, unexpected
from tests.export.matrix.page import CELLS, PAGE, render
from tests.export.matrix.refusals import REFUSALS, matching, refusal

# A spread: every target, and what has been wrong before.
QUICK = {
    ("model vision_transformer", "SavedModel"),
    ("model image_tokenizer, encoder", "LiteRT"),
    ("layer VectorQuantizer", "LiteRT float16"),
    ("layer GumbelQuantizer", "LiteRT dynamic int8"),
    ("layer CausalWindow", "LiteRT streaming"),
    ("model image_tokenizer, decoder", "ONNX"),
    ("generator markov", "ONNX"),
    ("generator autoregressive", "CTranslate2"),
    ("model forecaster", "CTranslate2"),
    ("model seq2seq_rnn", "LiteRT streaming"),
}

NEEDED = {"ONNX": ("onnx", "onnxruntime"), "CTranslate2": ("ctranslate2",)}  # of extras


def test_every_public_layer_and_model_has_an_instance():
    assert {public_name(key) for key in LAYERS} | NO_LAYERS == set(layers.__all__)
    assert {public_name(key) for key in MODELS} | NO_MODELS == set(models.__all__)


def test_an_expected_refusal_is_one_and_stands_for_something():
    assert all(len(matching(*cell)) <= 1 for cell in CELLS)
    assert all(any(refusal(*cell) is one for cell in CELLS) for one in REFUSALS)
    assert QUICK <= set(CELLS) and {target for _, target in QUICK} == set(TARGETS)


def test_the_page_of_the_documentation_is_what_these_tests_expect():
    assert PAGE.read_text(encoding="utf-8") == render(), "python -m tests.export.matrix.page"


@pytest.mark.parametrize(
    "key, target",
    [c if c in QUICK else pytest.param(*c, marks=pytest.mark.thorough) for c in CELLS],
)
def test_an_export_agrees_or_is_refused_for_the_reason_of_the_page(key, target, tmp_path):
    for package in NEEDED.get(target, ()):
        pytest.importorskip(package)
    assert unexpected(instance(key), key, target, tmp_path / "exported") is None
