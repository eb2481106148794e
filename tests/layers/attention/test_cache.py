import keras
import numpy as np
import pytest
from keras import ops

from keras_seq.layers._room import check_room
from keras_seq.layers.attention._cache import append, empty_cache
from tests.layers.layer_equations import normal


def filled(*lengths, max_length=6, mask=None):
    """A cache after appends of the given lengths, and what was appended."""
    cache = empty_cache(2, 3, max_length, 4, 5, "float32")
    keys, values, attend, start = [], [], None, 0
    for i, length in enumerate(lengths):
        keys.append(normal(2, 3, length, 4, seed=i))
        values.append(normal(2, 3, length, 5, seed=9 + i))
        part = None if mask is None else ops.convert_to_tensor(mask[:, start : start + length])
        cache, attend = append(cache, *map(ops.convert_to_tensor, (keys[-1], values[-1])), part)
        start += length
    return cache, attend, np.concatenate(keys, 2), np.concatenate(values, 2)


@pytest.mark.parametrize("lengths", [(4,), (1, 3), (2, 1, 1), (1, 1, 1, 1)])
def test_what_is_appended_stands_in_order_after_what_was_there(lengths):
    cache, _, keys, values = filled(*lengths)
    cache = keras.tree.map_structure(ops.convert_to_numpy, cache)
    np.testing.assert_array_equal(cache["key"][:, :, :4], keys)
    np.testing.assert_array_equal(cache["value"][:, :, :4], values)
    np.testing.assert_array_equal(cache["valid"], [[True] * 4 + [False] * 2] * 2)
    assert cache["position"] == 4


def test_a_new_position_attends_to_valid_ones_up_to_itself():
    mask = np.array([[True, False, True, True], [False, True, True, False]])
    cache, attend, *_ = filled(1, 3, mask=mask)
    valid = np.concatenate([mask, np.zeros((2, 2), bool)], axis=1)
    np.testing.assert_array_equal(ops.convert_to_numpy(cache["valid"]), valid)
    upto = np.arange(6)[None] <= np.array([1, 2, 3])[:, None]
    got = np.broadcast_to(ops.convert_to_numpy(attend), (2, 1, 3, 6))
    np.testing.assert_array_equal(got[:, 0], valid[:, None] & upto[None])


def test_a_single_new_position_attends_to_all_valid_ones():
    _, attend, *_ = filled(2, 1)
    got = np.broadcast_to(ops.convert_to_numpy(attend), (2, 1, 1, 6))
    np.testing.assert_array_equal(got[:, 0, 0], [[True] * 3 + [False] * 3] * 2)


@pytest.mark.parametrize("lengths, holds", [((7,), 0), ((4, 3), 4), ((6, 1), 6)])
def test_an_overflow_is_refused(lengths, holds):
    with pytest.raises(
        ValueError, match=f"6 time steps, and {holds} are taken: {lengths[-1]} more"
    ):
        filled(*lengths)


def test_unknown_lengths_are_let_pass():
    check_room(0, None, 6)
    check_room(0, 3, None)
