"""Variants of attention from outside the package: the examples of docs/extending/attention.md."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.stepping import Stepper
from keras_seq.testing import check_sequence_layer
from tests.layers.attention.attention_equations import band
from tests.layers.extending import lines_of_class, run_examples
from tests.layers.layer_equations import normal, randomise, softmax

NORMALIZED, CAPPED = (
    next(value for name, value in space.items() if name.endswith("edAttention"))
    for space in run_examples("attention.md")
)
VARIANTS = [NORMALIZED, CAPPED]


def by_equation(x, weights, query_scale=None, key_scale=None, cap=None):
    """Causal attention, head by head, with RMS-normalized queries and keys or capped scores."""

    def normalize(a, scale):
        return a if scale is None else a / np.sqrt((a**2).mean(-1, keepdims=True) + 1e-6) * scale

    wq, bq, wk, bk, wv, bv, wo, bo = weights
    y = np.zeros(x.shape) + bo
    for b, h in np.ndindex(len(x), wq.shape[1]):
        q = normalize(x[b] @ wq[:, h] + bq[h], query_scale)
        k = normalize(x[b] @ wk[:, h] + bk[h], key_scale)
        scores = q @ k.T / np.sqrt(q.shape[-1])
        scores = scores if cap is None else cap * np.tanh(scores / cap)
        weight = softmax(np.where(band(len(q))[0], scores, -1e30))
        y[b] += weight @ (x[b] @ wv[:, h] + bv[h]) @ wo[h]
    return y


def test_normalized_queries_and_keys_are_the_equation():
    layer, x = NORMALIZED(2, 4, causal=True), normal(2, 5, 6)
    layer(x)
    *weights, query_scale, key_scale = randomise(layer)
    expected = by_equation(x, weights, query_scale, key_scale)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), expected, atol=1e-5)


def test_capped_scores_are_the_equation():
    class Low(CAPPED):
        cap = 0.5  # so low that scores reach it

    layer, x = Low(2, 4, causal=True), normal(2, 5, 6)
    layer(x)
    weights = randomise(layer, scale=1.0)
    got = ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(got, by_equation(x, weights, cap=0.5), atol=1e-4)
    assert np.abs(got - by_equation(x, weights)).max() > 0.1


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "arguments", [{}, {"positions": "rotary", "sliding_window": 2, "num_key_value_heads": 1}]
)
def test_a_variant_keeps_the_contract(variant, arguments):
    invariants = ["stepping equals calling", "padding changes nothing", "config round trip"]
    invariants = [*invariants, "mixed precision"] if arguments else invariants
    check_sequence_layer(variant(2, 4, causal=True, **arguments), (2, 5, 4), invariants=invariants)


@pytest.mark.parametrize("variant", VARIANTS)
def test_blocks_and_models_use_a_variant_and_save_it(variant, tmp_path):
    block = ks.layers.TransformerEncoderBlock(6, 2, causal=True, attention_class=variant)
    again = type(block).from_config(block.get_config())
    again(normal(2, 4, 4))
    assert type(again.self_attention) is variant
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 6}
    tokens = np.array([[3, 4, 5, 0], [6, 7, 8, 9]])
    for model, inputs in (
        (ks.models.decoder_only_transformer(10, **sizes, attention_class=variant), tokens),
        (
            ks.models.transformer(10, 10, **sizes, attention_class=variant),
            {"source": tokens, "target": tokens[:, ::-1]},
        ),
    ):
        kinds = [type(x.self_attention) for x in model.layers if hasattr(x, "self_attention")]
        assert kinds and set(kinds) == {variant}
        assert Stepper(model).check() < 1e-4
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        got, expected = (ops.convert_to_numpy(m(inputs)) for m in (loaded, model))
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_the_hooks_are_those_of_cross_attention_too():
    class Capped(ks.layers.MultiHeadCrossAttention):
        def transform_scores(self, scores):
            return 0.0 * scores

    layer, x, context = Capped(2, 3), normal(2, 4, 6), normal(2, 5, 7)
    _, scores = layer(x, context, return_attention_scores=True)
    np.testing.assert_allclose(ops.convert_to_numpy(scores), 1 / 5, atol=1e-6)


@pytest.mark.parametrize("wrong", [keras.layers.Dense, 3, "no_such>Class"])
def test_another_class_is_refused(wrong):
    with pytest.raises(ValueError, match="`attention_class` of .*subclass of MultiHeadSelf"):
        ks.layers.TransformerEncoderBlock(6, 2, attention_class=wrong)


@pytest.mark.parametrize("name", ["NormalizedAttention", "CappedAttention"])
def test_a_variant_is_short(name):
    assert lines_of_class("attention.md", name) <= 10
