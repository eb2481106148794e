import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_seq.generation import GreedySampler
from keras_seq.generation.samplers import get_sampler


@settings(max_examples=30, deadline=None, derandomize=True)
@given(arrays("float32", (3, 5), elements=st.integers(-3, 0).map(float)))
def test_greedy_takes_the_likeliest_token_and_the_first_of_equals(log_probabilities):
    tokens, scores = GreedySampler()(log_probabilities)
    np.testing.assert_array_equal(np.asarray(tokens), log_probabilities.argmax(axis=-1))
    np.testing.assert_array_equal(np.asarray(scores), log_probabilities.max(axis=-1))


def test_a_sampler_is_named_or_called():
    assert isinstance(get_sampler("greedy"), GreedySampler)
    with pytest.raises(ValueError, match="greedy"):
        get_sampler("beam")
