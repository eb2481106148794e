import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.testing import check_sequence_layer
from tests.layers.layer_equations import additive_attention, normal, randomise


def test_additive_attention_keeps_the_contract():
    check_sequence_layer(
        ks.layers.AdditiveAttention(3, dropout=0.3), (2, 4, 5), context_shape=(2, 6, 7)
    )


@pytest.mark.parametrize("masked", [False, True])
def test_it_is_the_papers_equations(masked):
    layer, x, context = ks.layers.AdditiveAttention(3), normal(2, 4, 5), normal(2, 6, 7, seed=2)
    layer(x, context)
    weights = randomise(layer)
    mask = np.array([[True, False, True, True, False, False], [False] * 6]) if masked else None
    arguments = {} if mask is None else {"context_mask": ops.convert_to_tensor(mask)}
    got = layer(x, context, return_attention_scores=True, **arguments)
    for a, b in zip(got, additive_attention(x, context, *weights, mask=mask), strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(a), b, atol=1e-5)


def test_dropout_drops_weights_in_training_and_keeps_the_expectation():
    layer = ks.layers.AdditiveAttention(3, dropout=0.5, seed=0)
    x, context = normal(1, 4, 5), np.ones((1, 2000, 1), "float32")
    # The context is one everywhere, so y is the sum of the weights: one, whatever they are.
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x, context)), 1, atol=1e-4)
    dropped, scores = layer(x, context, return_attention_scores=True, training=True)
    dropped = ops.convert_to_numpy(dropped)
    assert np.any(dropped != 1.0)
    np.testing.assert_allclose(dropped, 1, atol=5 / np.sqrt(2000))
    np.testing.assert_allclose(ops.convert_to_numpy(scores).sum(-1), 1, atol=1e-4)


@pytest.mark.parametrize(
    "arguments, named",
    [({"units": 0}, "`units`.*units=0"), ({"units": 3, "dropout": 2}, "`dropout`.*dropout=2")],
)
def test_bad_constructor_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        ks.layers.AdditiveAttention(**arguments)


def test_a_missing_context_is_named():
    layer, x = ks.layers.AdditiveAttention(3), normal(2, 4, 5)
    layer(x, normal(2, 6, 7))
    with pytest.raises(ValueError, match=r"`context` of .*must be the sequence to attend to"):
        layer(x)
    with pytest.raises(ValueError, match=r"`context` of "):
        layer.get_initial_state(2)


@pytest.mark.parametrize("x, context, named", [((2, 5), (2, 6, 7), "`x`"),
                                               ((2, 4, 5), (2, 7), "`context`")])  # fmt: skip
def test_inputs_of_another_rank_are_refused(x, context, named):
    with pytest.raises(ValueError, match=f"{named} of AdditiveAttention must have shape"):
        ks.layers.AdditiveAttention(3).build(x, context)
