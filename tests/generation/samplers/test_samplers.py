import keras
import keras_hub
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_seq.generation import (
    BeamSampler,
    GreedySampler,
    RandomSampler,
    TopK,
    TopKSampler,
    TopP,
    TopPSampler,
)
from keras_seq.generation._get_sampler import get_sampler
from keras_seq.generation.samplers._random_numbers import seed_words

numpy = keras.ops.convert_to_numpy
P = np.array([0.02, 0.3, 0.08, 0.25, 0.0, 0.2, 0.15])


def log_rows(probabilities=P, rows=1):
    with np.errstate(divide="ignore"):
        return np.tile(np.maximum(np.log(probabilities), -1e9).astype("float32"), (rows, 1))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(arrays("float32", (3, 5), elements=st.integers(-3, 0).map(float)))
def test_greedy_takes_the_likeliest_token_and_the_first_of_equals(log_probabilities):
    tokens, scores = GreedySampler()(log_probabilities)
    np.testing.assert_array_equal(np.asarray(tokens), log_probabilities.argmax(axis=-1))
    np.testing.assert_array_equal(np.asarray(scores), log_probabilities.max(axis=-1))


@pytest.mark.parametrize("temperature", [1e-30, 1e30])
def test_no_temperature_draws_what_must_not_be_chosen_or_is_not_a_number(temperature):
    tokens, _ = RandomSampler(temperature)(log_rows(rows=2000), seed=seed_words(3))
    drawn = {1} if temperature < 1 else {0, 1, 2, 3, 5, 6}
    assert set(numpy(tokens).tolist()) == drawn


def test_a_nucleus_of_everything_keeps_the_tail_of_a_large_vocabulary():
    even = np.zeros((1, 50000), "float32")  # the rounded fractions sum up to more than 1
    kept, _ = TopPSampler(p=1).candidates(even)
    assert np.isfinite(numpy(kept)).all()


def tempered(p, temperature):
    p = p ** (1 / temperature)
    return p / p.sum()


@pytest.mark.parametrize(
    "sampler, expected",
    [
        (RandomSampler(), P),
        (RandomSampler(temperature=0.5), tempered(P, 0.5)),
        (RandomSampler(temperature=2.0), tempered(P, 2.0)),
        (TopKSampler(k=3), np.where(P >= 0.2, P, 0) / 0.75),
        (TopKSampler(k=99), P),
        (TopPSampler(p=0.5), np.where(P >= 0.25, P, 0) / 0.55),
        (TopPSampler(p=0.6, k=2), np.where(P >= 0.25, P, 0) / 0.55),
        (TopPSampler(p=1.0), P),
        # Of 0.3, 0.25, 0.2 the first two are more than 0.6 of them all; of all they are 0.55.
        (RandomSampler(filters=[TopK(3), TopP(0.6)]), np.where(P >= 0.25, P, 0) / 0.55),
        (RandomSampler(filters=[TopP(0.6), TopK(3)]), np.where(P >= 0.2, P, 0) / 0.75),
        (RandomSampler(filters=[lambda x: x, TopK(3)]), np.where(P >= 0.2, P, 0) / 0.75),
    ],
)
def test_tokens_are_drawn_as_often_as_they_are_likely(sampler, expected):
    rows = 20000
    tokens, scores = (numpy(x) for x in sampler(log_rows(rows=rows), seed=seed_words(3)))
    counts = np.bincount(tokens, minlength=len(P))
    assert (counts[expected == 0] == 0).all()
    possible = expected > 0
    mean, freedom = rows * expected[possible], possible.sum() - 1
    chi_square = ((counts[possible] - mean) ** 2 / mean).sum()
    assert chi_square < freedom + 4 * np.sqrt(2 * freedom)
    np.testing.assert_allclose(scores, np.log(P[tokens]), rtol=1e-6)  # of the model, as they were


@settings(max_examples=30, deadline=None, derandomize=True)
@given(arrays("float32", (3, 6), elements=st.integers(-3, 0).map(float)))
def test_a_filter_called_alone_keeps_the_first_of_equals(log_probabilities):
    """A stable sort says which tokens are in, and their exact sums how many."""
    order = np.argsort(-log_probabilities, axis=-1, kind="stable")
    p = np.exp(log_probabilities.astype("float64"))
    p = np.take_along_axis(p / p.sum(axis=-1, keepdims=True), order, axis=-1)
    ahead = np.cumsum(p, axis=-1) - p
    assert np.abs(ahead - 0.437).min() > 1e-6  # so that no rounding decides
    for part, inside in ((TopK(2), np.arange(6) < 2), (TopP(0.437), ahead <= 0.437)):
        expected = np.full((3, 6), -np.inf, "float32")
        kept = np.where(inside, np.take_along_axis(log_probabilities, order, axis=-1), -np.inf)
        np.put_along_axis(expected, order, kept, axis=-1)
        np.testing.assert_array_equal(numpy(part(log_probabilities)), expected)


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (TopKSampler(3), keras_hub.samplers.TopKSampler(3)),
        (TopKSampler(4, temperature=0.7), keras_hub.samplers.TopKSampler(4, temperature=0.7)),
        (TopPSampler(0.3), keras_hub.samplers.TopPSampler(0.3)),
        (TopPSampler(0.9, temperature=2.0), keras_hub.samplers.TopPSampler(0.9, temperature=2.0)),
        (TopPSampler(0.5, k=3), keras_hub.samplers.TopPSampler(0.5, k=3)),
    ],
)
def test_keras_hub_draws_from_the_same_tokens_with_the_same_weights(ours, theirs, monkeypatch):
    logits = np.random.default_rng(0).normal(size=(40, 9)).astype("float32") * 2
    drawn_from = []

    def categorical(log_weights, num_samples, **_):
        drawn_from.append(np.exp(numpy(log_weights)))
        return keras.ops.zeros((40, 1), dtype="int32")

    monkeypatch.setattr(keras.random, "categorical", categorical)
    theirs.get_next_token(theirs.compute_probabilities(logits))
    log_weights, ids = ours.candidates(logits)
    fractions = [
        w / w.sum(axis=-1, keepdims=True) for w in (np.exp(numpy(log_weights)), drawn_from[0])
    ]
    np.testing.assert_allclose(*(np.sort(f, axis=-1) for f in fractions), atol=1e-6)
    np.testing.assert_array_equal(numpy(ids)[:, 0], logits.argmax(axis=-1))


def test_a_sampler_is_named_or_called_or_taken_over_from_keras_hub():
    names = {"random": RandomSampler, "top_k": TopKSampler, "top_p": TopPSampler}
    names |= {"greedy": GreedySampler, "beam": BeamSampler}
    hub = keras_hub.samplers
    for name, kind in names.items():
        assert type(get_sampler(name)) is kind
        assert type(get_sampler(getattr(hub, kind.__name__)())) is kind
    taken = get_sampler(hub.TopPSampler(0.4, k=7, seed=5, temperature=0.3))
    assert (taken.p, taken.k, taken.seed, taken.temperature) == (0.4, 7, 5, 0.3)
    taken = get_sampler(hub.BeamSampler(3, return_all_beams=True))
    assert (taken.num_beams, taken.return_all_beams, taken.length_penalty) == (3, True, 0)
    for sampler in (hub.ContrastiveSampler(), hub.SpeculativeSampler()):
        with pytest.raises(ValueError, match=f"{type(sampler).__name__} of KerasHub"):
            get_sampler(sampler)
    for sampler in ("best", 3, None, GreedySampler):
        with pytest.raises(ValueError, match="'greedy'"):
            get_sampler(sampler)


def test_a_sampler_written_for_keras_hub_draws_by_the_seed_of_the_step():
    class Shy(keras_hub.samplers.RandomSampler):
        """Never takes the likeliest token."""

        def get_next_token(self, probabilities):
            best = keras.ops.max(probabilities, axis=-1, keepdims=True)
            return super().get_next_token(keras.ops.where(probabilities < best, probabilities, 0))

    sampler = get_sampler(Shy(temperature=0.5))
    draws = [numpy(sampler(log_rows(rows=300), seed=seed_words(s))[0]) for s in (1, 1, 2)]
    assert (draws[0] == draws[1]).all() and (draws[0] != draws[2]).any()
    assert set(draws[0]) <= {0, 2, 3, 5, 6} and len(set(draws[0])) > 2

    class Plain(keras_hub.samplers.RandomSampler):
        def get_next_token(self, probabilities):
            return super().get_next_token(probabilities)

    flat = get_sampler(Plain(temperature=1e30))
    assert set(numpy(flat(log_rows(rows=300), seed=seed_words(1))[0])) == {0, 1, 2, 3, 5, 6}


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: RandomSampler(temperature=0), "temperature.*positive.*0"),
        (lambda: RandomSampler(temperature="hot"), "temperature"),
        (lambda: RandomSampler(temperature=float("inf")), "temperature.*inf"),
        (lambda: RandomSampler(temperature=float("nan")), "temperature.*nan"),
        (lambda: RandomSampler(temperature=1e-39), "temperature.*1e-39"),
        (lambda: TopKSampler(k=0), "k.*at least 1"),
        (lambda: TopPSampler(p=1.5), r"p.*\(0, 1\].*1.5"),
        (lambda: TopPSampler(p=0), "p"),
        (lambda: TopPSampler(k=-1), "k"),
        (lambda: TopK(0), "k.*TopK.*at least 1"),
        (lambda: TopP(0), "p.*TopP"),
        (lambda: RandomSampler(filters=[50]), "filters.*callables.*50"),
        (lambda: RandomSampler(filters=TopK), "filters.*callables"),
        (lambda: TopKSampler(seed=-1), "seed.*TopKSampler"),
        (lambda: BeamSampler(num_beams=0), "num_beams"),
        (lambda: BeamSampler(length_penalty="long"), "length_penalty"),
        (lambda: BeamSampler(length_penalty=float("nan")), "length_penalty.*nan"),
        (lambda: BeamSampler(length_penalty=float("inf")), "length_penalty.*inf"),
        (lambda: BeamSampler(early_stopping="soon"), "early_stopping.*soon"),
        (lambda: BeamSampler(early_stopping=1), "early_stopping"),
        (lambda: BeamSampler(return_all_beams=3), "return_all_beams"),
        (lambda: BeamSampler(length_penalty_kind="wu"), "length_penalty_kind.*gnmt.*wu"),
        (lambda: BeamSampler(2, num_return_sequences=3), "num_return_sequences.*num_beams=2.*3"),
        (lambda: BeamSampler(2, num_return_sequences=0), "num_return_sequences"),
        (lambda: BeamSampler(2, True, num_return_sequences=1), "return_all_beams"),
    ],
)
def test_samplers_check_their_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
