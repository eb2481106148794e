import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.testing import check_sequence_layer
from tests.layers.attention.attention_equations import attention, band
from tests.layers.layer_equations import normal, randomise

MASK = np.array([[True, False, True, True, False], [True, True, False, False, True]])


def numpy(*tensors):
    return [ops.convert_to_numpy(t) for t in tensors]


def test_grouped_self_attention_keeps_the_contract():
    layer = ks.layers.MultiHeadSelfAttention(
        4, 2, value_dim=3, causal=True, num_key_value_heads=2, positions="rotary"
    )
    check_sequence_layer(layer, (2, 5, 4))


def test_grouped_cross_attention_keeps_the_contract():
    layer = ks.layers.MultiHeadCrossAttention(4, 2, value_dim=3, num_key_value_heads=2)
    laws = ["stepping equals calling", "fully masked rows are finite", "config round trip"]
    check_sequence_layer(layer, (2, 4, 4), context_shape=(2, 5, 6), laws=laws)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_of_heads_share_a_key(groups):
    layer = ks.layers.MultiHeadSelfAttention(4, 3, 2, causal=True, num_key_value_heads=groups)
    x = normal(2, 5, 6)
    layer(x)
    weights = randomise(layer)
    visible = MASK[:, None] & band(5)
    got = layer(x, mask=ops.convert_to_tensor(MASK), return_attention_scores=True)
    for a, b in zip(numpy(*got), attention(x, x, weights, visible), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("cross", [False, True])
def test_it_gives_the_numbers_of_keras_with_weights_set_both_ways(cross):
    theirs = keras.layers.GroupQueryAttention(3, num_query_heads=4, num_key_value_heads=2)
    x, context = normal(2, 5, 6), normal(2, 5, 7 if cross else 6, seed=2)
    if cross:
        ours = ks.layers.MultiHeadCrossAttention(4, 3, num_key_value_heads=2)
        sources, mask = (x, context), {"context_mask": ops.convert_to_tensor(MASK)}
    else:
        ours = ks.layers.MultiHeadSelfAttention(4, 3, causal=True, num_key_value_heads=2)
        sources, mask = (x,), {"mask": ops.convert_to_tensor(MASK)}
    ours(*sources), theirs(x, sources[-1])
    randomise(theirs)
    ours.set_weights(theirs.get_weights())
    theirs.set_weights(ours.get_weights())
    visible = ops.convert_to_tensor(np.repeat(MASK[:, None], 5, axis=1))
    expected = theirs(
        x,
        sources[-1],
        attention_mask=visible,
        use_causal_mask=not cross,
        return_attention_scores=True,
    )
    got = ours(*sources, return_attention_scores=True, **mask)
    for a, b in zip(numpy(*got), numpy(*expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_cache_holds_the_heads_of_keys_only():
    layer = ks.layers.MultiHeadSelfAttention(8, 2, 3, causal=True, num_key_value_heads=2)
    state = layer.get_initial_state(5, max_length=7)
    assert state["key"].shape == (5, 2, 7, 2) and state["value"].shape == (5, 2, 7, 3)


@pytest.mark.parametrize("groups", [0, 3, 8, 1.5])
@pytest.mark.parametrize("name", ["MultiHeadSelfAttention", "MultiHeadCrossAttention"])
def test_heads_that_do_not_divide_are_refused(name, groups):
    with pytest.raises(ValueError, match=f"`num_key_value_heads`.*num_key_value_heads={groups}"):
        getattr(ks.layers, name)(4, 2, num_key_value_heads=groups)
