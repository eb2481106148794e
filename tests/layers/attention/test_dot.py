import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.testing import check_sequence_layer
from tests.layers.layer_equations import normal, randomise, softmax

MASK = np.array([[True, False, True, True, False, False], [False] * 6])


def numpy(*tensors):
    return [ops.convert_to_numpy(t) for t in tensors]


def luong(x, context, kernel, scale, mask):
    """Luong et al. 2015, equations 7 and 8: `(y, weights)`, one query and one row at a time."""
    weights = np.zeros((*x.shape[:2], context.shape[1]))
    for b, t in np.ndindex(*x.shape[:2]):
        if mask[b].any():
            energy = np.array([x[b, t] @ (h @ kernel) for h in context[b]])
            weights[b, t, mask[b]] = softmax(scale * energy[mask[b]])
    return weights @ context, weights


def test_dot_attention_keeps_the_contract():
    layer = ks.layers.DotAttention("general", use_scale=True, dropout=0.3)
    check_sequence_layer(layer, (2, 4, 5), context_shape=(2, 6, 7))


@pytest.mark.parametrize("use_scale", [False, True, "sqrt"])
@pytest.mark.parametrize("score_mode", ["dot", "general"])
def test_it_is_the_papers_equations(score_mode, use_scale):
    width = 5 if score_mode == "dot" else 7
    layer = ks.layers.DotAttention(score_mode, use_scale=use_scale)
    x, context = normal(2, 4, 5), normal(2, 6, width, seed=2)
    layer(x, context)
    weights = randomise(layer)
    kernel = weights[0] if score_mode == "general" else np.eye(5)
    scale = {False: 1, True: weights[-1] if weights else 0, "sqrt": 5**-0.5}[use_scale]
    got = layer(x, context, context_mask=ops.convert_to_tensor(MASK), return_attention_scores=True)
    for a, b in zip(numpy(*got), luong(x, context, kernel, scale, MASK), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_it_gives_the_numbers_of_keras():
    ours, theirs = ks.layers.DotAttention(use_scale=True), keras.layers.Attention(use_scale=True)
    x, context = normal(2, 4, 5), normal(2, 6, 5, seed=2)
    ours(x, context), theirs([x, context])
    randomise(ours)
    theirs.set_weights(ours.get_weights())
    mask = ops.convert_to_tensor(MASK | True)
    got = numpy(*ours(x, context, context_mask=mask, return_attention_scores=True))
    expected = numpy(*theirs([x, context], return_attention_scores=True))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_source_of_a_state_is_projected_once():
    layer, x, context = ks.layers.DotAttention("general"), normal(2, 4, 5), normal(2, 6, 7)
    whole = layer(x, context)
    state = layer.get_initial_state(2, context=context)
    layer.key_kernel.assign(0 * layer.key_kernel)  # must not matter any more
    (y, scores, _) = layer.step(x[:, 1:2], state, return_attention_scores=True)
    np.testing.assert_allclose(*numpy(y, whole[:, 1:2]), atol=1e-6)
    assert scores.shape == (2, 1, 6)


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"score_mode": "concat"}, "`score_mode`.*AdditiveAttention.*'concat'"),
        ({"use_scale": "log"}, "`use_scale`.*'log'"),
        ({"dropout": 1.0}, "`dropout`.*dropout=1.0"),
    ],
)
def test_bad_constructor_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        ks.layers.DotAttention(**arguments)


def test_widths_that_differ_are_refused_for_the_plain_product():
    with pytest.raises(ValueError, match="one width.*'general'.*D=5 and 7"):
        ks.layers.DotAttention()(normal(2, 4, 5), normal(2, 6, 7))


def test_a_missing_context_is_named():
    with pytest.raises(ValueError, match=r"`context` of .*\(DotAttention\) must be the sequence"):
        ks.layers.DotAttention().get_initial_state(2)
