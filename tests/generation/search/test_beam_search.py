import itertools

import keras
import keras_hub
import numpy as np
import pytest

from keras_seq.generation import BeamSampler, Generator
from keras_seq.generation.search import _beam_loop
from tests.generation.generation_models import (
    hybrid,
    log_probabilities,
    shaken,
    sources,
    translator,
)

numpy = keras.ops.convert_to_numpy
# Without XLA a search is traced much faster; JAX compiles in either case.
GRAPH = {"jit_compile": keras.backend.backend() != "tensorflow"}


def every_sequence(model, start, length, end, vocabulary_size):
    """All sequences that can be generated and their log-probabilities, by whole calls."""
    whole = itertools.product(range(vocabulary_size), repeat=length)
    cut = {s[: s.index(end) + 1] if end in s else s for s in whole}
    sequences = sorted(cut)
    x = np.zeros((len(sequences), length), "int32")
    x[:, 0] = start
    for row, s in zip(x, sequences, strict=True):
        row[1 : len(s)] = s[:-1]
    log_p = log_probabilities(model, x)
    totals = [sum(log_p[i, t, v] for t, v in enumerate(s)) for i, s in enumerate(sequences)]
    return sequences, np.array(totals)


def penalty(length, alpha, kind):
    return ((5 + length) / 6) ** alpha if kind == "gnmt" else length**alpha


@pytest.mark.parametrize(
    "alpha, end, kind",
    [
        (0.0, None, "gnmt"),
        (0.6, 3, "gnmt"),
        (2.5, 3, "gnmt"),
        (-1.0, 3, "gnmt"),
        (1.0, 3, "power"),
        (2.0, 3, "power"),
        (-0.5, 3, "power"),
    ],
)
def test_a_beam_of_everything_finds_what_exhaustive_search_finds(alpha, end, kind):
    model = shaken(hybrid(4, 8), seed=5, scale=1.5)
    sampler = BeamSampler(256, True, alpha, "never", length_penalty_kind=kind)
    out = Generator(model, max_length=5, end_token=end, sampler=sampler, **GRAPH).generate(
        prompt=[[1], [2], [3]]
    )
    for row, start in enumerate((1, 2, 3)):
        sequences, totals = every_sequence(model, start, 5, end, vocabulary_size=4)
        ranks = totals / penalty(np.array([len(s) for s in sequences], "float64"), alpha, kind)
        best = np.argsort(-ranks, kind="stable")[:256]
        found = numpy(out.tokens)[row, : len(best), 1:].tolist()
        assert found == [[*sequences[i], *[0] * (5 - len(sequences[i]))] for i in best]
        np.testing.assert_allclose(numpy(out.scores)[row, : len(best)], totals[best], atol=1e-3)


def soon_ending():
    """A model that likes its end token, so that sequences of many lengths compete."""
    model, rng = hybrid(6, 8), np.random.default_rng(3)
    weights = [0.7 * rng.normal(size=w.shape) for w in model.get_weights()]
    weights[-1][3] += 1
    model.set_weights(weights)
    return model


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_what_is_open_is_dropped_only_where_it_cannot_win(alpha):
    """The best alone ends earlier than the whole list, and is the best of the list."""
    best, everything = (
        Generator(
            soon_ending(),
            12,
            end_token=3,
            sampler=BeamSampler(6, return_all, alpha, "never"),
            **GRAPH,
        ).generate(prompt=[[1], [2], [4], [5]])
        for return_all in (False, True)
    )
    assert numpy(best.tokens).tolist() == numpy(everything.tokens)[:, 0].tolist()
    np.testing.assert_allclose(numpy(best.scores), numpy(everything.scores)[:, 0], atol=1e-5)
    assert int(best.steps) < int(everything.steps) <= 12


def fork(ends, goes_on, kinds=1):
    """After token 1 comes an end, 3 or 4 by their number, or a 2; after a 2 another or an end."""
    size = 3 + kinds
    table = np.full((size, size), 1e-9, "float32")
    table[1, 2:] = 1 - ends, *[ends / kinds] * kinds
    table[2, 2:] = goes_on, *[(1 - goes_on) / kinds] * kinds
    tokens = keras.Input((None,), dtype="int32")
    model = keras.Model(tokens, keras.layers.Embedding(size, size)(tokens))
    model.set_weights([np.log(table)])
    return model


@pytest.mark.parametrize(
    "alpha, ends, goes_on, best",
    [(1.0, 0.55, 0.999, [2] * 8), (-1.0, 0.393, 0.01, [2, 3] + [0] * 6)],
)
def test_what_may_still_win_by_its_length_is_waited_for(alpha, ends, goes_on, best):
    """Whichever lengths the penalty favors, the first end is no proof."""
    sampler = BeamSampler(2, length_penalty=alpha, early_stopping="never")
    model = fork(ends, goes_on)
    out = Generator(model, 8, end_token=3, sampler=sampler, **GRAPH).generate(prompt=[[1]])
    assert numpy(out.tokens)[0, 1:].tolist() == best


def test_one_beam_is_greedy_on_random_models_and_prompts():
    model = hybrid(8, 8)
    options = {"max_length": 9, "end_token": [3, 6], **GRAPH}
    greedy = Generator(model, **options)
    beams = [
        Generator(model, sampler=BeamSampler(1, length_penalty_kind=kind), **options)
        for kind in ("gnmt", "power")
    ]
    lengths = set()
    for seed in range(50):
        rng = np.random.default_rng(seed)
        model.set_weights([0.8 * rng.normal(size=w.shape) for w in model.get_weights()])
        prompt = rng.integers(0, 8, size=(4, 3))
        prompt[:, 0] = 5
        prompts = [row[: 1 + i % 3].tolist() for i, row in enumerate(prompt)]
        expected = greedy.generate(prompt=prompts)
        for generator in beams:
            found = generator.generate(prompt=prompts)
            assert numpy(found.tokens).tolist() == numpy(expected.tokens).tolist()
            np.testing.assert_allclose(numpy(found.scores), numpy(expected.scores), atol=1e-4)
        lengths.add(int(expected.steps))
    assert len(lengths) > 3  # sequences end early and late


def test_more_beams_find_likelier_sequences():
    model, source = shaken(translator("gru"), seed=3), sources()
    options = {"max_length": 9, "start_token": 2, **GRAPH}
    greedy = Generator(model, **options).generate(source)
    many = Generator(model, **options, sampler=BeamSampler(8, length_penalty=0)).generate(source)
    assert (numpy(many.scores) >= numpy(greedy.scores) - 1e-5).all()
    assert numpy(many.scores).sum() > numpy(greedy.scores).sum() + 0.1


def slow_beams(model, source, length, end, sampler):
    """Beam search of one row in plain Python, with whole calls."""
    beams, alpha, kind = sampler.num_beams, sampler.length_penalty, sampler.length_penalty_kind

    def rank(total, n):
        return total / penalty(n, alpha, kind)

    opened, ended = [((2,), 0.0)], []
    for n in range(1, length + 1):
        x = np.zeros((beams, length), "int32")
        for row, (tokens, _) in zip(x, opened, strict=False):
            row[:n] = tokens
        inputs = {"source": np.repeat(source[None], beams, axis=0), "target": x}
        log_p = log_probabilities(model, inputs)[:, n - 1]
        new = [
            ((*tokens, v), total + log_p[i, v])
            for i, (tokens, total) in enumerate(opened)
            for v in range(log_p.shape[-1])
        ]
        new = sorted(new, key=lambda x: -x[1])
        ended += [(rank(s, n), t, s) for t, s in new[:beams] if t[-1] == end or n == length]
        ended = sorted(ended, key=lambda x: -x[0])[:beams]
        opened = [(t, s) for t, s in new if t[-1] != end][:beams]
        if len(ended) < beams:
            continue
        longest = max(penalty(n + 1, alpha, kind), penalty(length, alpha, kind))
        bound = {False: rank(opened[0][1], n), "never": opened[0][1] / longest, True: -np.inf}
        if ended[-1][0] >= bound[sampler.early_stopping]:
            break
    return [(tokens, total) for _, tokens, total in ended]


@pytest.mark.parametrize(
    "rnn, jit_compile, early_stopping, kind",
    [
        ("lstm", GRAPH["jit_compile"], False, "gnmt"),
        ("lstm", GRAPH["jit_compile"], True, "power"),
        ("post_norm", True, "never", "power"),
    ],
)
def test_beams_equal_a_plain_search_by_whole_calls(rnn, jit_compile, early_stopping, kind):
    model, source = shaken(translator(rnn), seed=4, scale=0.5), sources(3)
    sampler = BeamSampler(3, True, 0.6, early_stopping, kind)
    generator = Generator(
        model, 7, start_token=2, end_token=3, sampler=sampler, jit_compile=jit_compile
    )
    out = generator.generate(source)
    for row, ids in enumerate(source):
        expected = slow_beams(model, ids, 7, end=3, sampler=sampler)
        for found, score, (tokens, total) in zip(
            numpy(out.tokens)[row].tolist(), numpy(out.scores)[row], expected, strict=True
        ):
            assert found == [*tokens[1:], *[0] * (8 - len(tokens))]
            np.testing.assert_allclose(score, total, atol=1e-4)
    generator.generate(sources(3, seed=1))
    assert generator.trace_count == 1


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_sequences_than_beams_are_the_best_of_all(count):
    """With the default stopping, what is searched is the same whatever is returned."""
    options = {"max_length": 8, "end_token": 3, **GRAPH}
    several, every = (
        Generator(soon_ending(), sampler=sampler, **options).generate(prompt=[[1], [2]])
        for sampler in (BeamSampler(4, num_return_sequences=count), BeamSampler(4, True))
    )
    assert several.tokens.shape == (2, count, 9)
    assert numpy(several.tokens).tolist() == numpy(every.tokens)[:, :count].tolist()
    np.testing.assert_allclose(numpy(several.scores), numpy(every.scores)[:, :count], atol=1e-6)


def test_rows_with_prompts_of_different_lengths_get_what_they_get_alone():
    prompts = [[5, 6, 7, 8, 9], [8, 3], [12, 4, 4]]  # an end token in a prompt ends nothing
    sampler = BeamSampler(3, return_all_beams=True)
    generator = Generator(
        shaken(hybrid(), seed=2), 4, end_token=3, sampler=sampler, no_repeat_ngram_size=2, **GRAPH
    )
    together = generator.generate(prompt=prompts)
    for row, prompt in enumerate(prompts):
        alone = generator.generate(prompt=[prompt])
        tokens = numpy(alone.tokens)[0]
        width = tokens.shape[1]
        assert numpy(together.tokens)[row, :, :width].tolist() == tokens.tolist()
        assert not numpy(together.tokens)[row, :, width:].any()
        np.testing.assert_allclose(numpy(together.scores)[row], numpy(alone.scores)[0], atol=1e-5)


def test_a_prompt_may_hold_ids_that_are_read_and_never_written():
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Dense(12)(keras.layers.Embedding(14, 4)(tokens))
    generator = Generator(keras.Model(tokens, x), 2, sampler=BeamSampler(2), jit_compile=False)
    both = generator.generate(prompt=[[5, 13, 4], [6]])
    alone = generator.generate(prompt=[[5, 13, 4]])
    assert numpy(both.tokens)[0].tolist() == numpy(alone.tokens)[0].tolist()
    assert numpy(both.tokens)[0, :3].tolist() == [5, 13, 4]
    np.testing.assert_allclose(numpy(both.scores)[0], numpy(alone.scores)[0], atol=1e-5)


def test_a_context_of_one_row_is_shared_by_all_beams():
    source, tokens = keras.Input((3,), name="source"), keras.Input((None,), dtype="int32")
    mean = keras.ops.mean(source, axis=(0, 1), keepdims=True)  # (1, 1)
    mean = keras.ops.expand_dims(mean, -1)
    x = keras.layers.Embedding(7, 4)(tokens) + mean
    model = keras.Model([source, tokens], keras.layers.Dense(7)(x))
    options = {"start_token": 2, "target": tokens.name, "jit_compile": False}
    generator = Generator(model, 3, sampler=BeamSampler(2), **options)
    together = numpy(generator.generate(np.ones((3, 3))).tokens)
    alone = numpy(generator.generate(np.ones((1, 3))).tokens)
    assert together.tolist() == alone.tolist() * 3


def test_early_stopping_is_done_when_enough_sequences_have_ended():
    steps = [
        int(
            Generator(
                soon_ending(), 12, end_token=3, sampler=BeamSampler(2, False, 1.0, kind), **GRAPH
            )
            .generate(prompt=[[1], [2], [4], [5]])
            .steps
        )
        for kind in (True, False, "never")
    ]
    assert steps[0] <= steps[1] < steps[2]


def test_several_end_tokens_leave_room_for_what_goes_on():
    """Both ends are likelier than the 2, which wins in the end."""
    sampler = BeamSampler(3, length_penalty=1.0, early_stopping="never")
    generator = Generator(fork(0.7, 0.999, 2), 8, end_token=[3, 4], sampler=sampler, **GRAPH)
    assert numpy(generator.generate(prompt=[[1]]).tokens).tolist() == [[1] + [2] * 8]


def test_only_what_is_among_the_best_beams_ends():
    """After token 1 the end is third: with two beams it is no hypothesis, though it would win."""
    table = np.full((6, 6), 1e-9, "float32")
    table[1, [3, 4, 5]] = 0.3, 0.36, 0.34
    table[4:, :] = [0.1, 0.1, 0.1, 0.5, 0.1, 0.1]
    tokens = keras.Input((None,), dtype="int32")
    model = keras.Model(tokens, keras.layers.Embedding(6, 6)(tokens))
    model.set_weights([np.log(table)])
    options = {"max_length": 4, "end_token": 3, **GRAPH}
    two, three = (
        numpy(
            Generator(model, sampler=BeamSampler(n, length_penalty=0), **options)
            .generate(prompt=[[1]])
            .tokens
        ).tolist()
        for n in (2, 3)
    )
    assert three == [[1, 3, 0, 0, 0]] and two == [[1, 4, 3, 0, 0]]


def test_a_row_that_is_done_stays_as_it_is_while_others_go_on():
    sampler = BeamSampler(1, length_penalty=1.0, early_stopping=True)
    generator = Generator(fork(0.55, 0.999), 8, end_token=3, sampler=sampler, **GRAPH)
    tokens = numpy(generator.generate(prompt=[[1], [2]]).tokens)[:, 1:]
    assert tokens.tolist() == [[3] + [0] * 7, [2] * 8]


def test_where_there_are_too_few_sequences_the_rest_has_no_new_tokens():
    sampler = BeamSampler(6, return_all_beams=True)
    out = Generator(hybrid(4, 8), 1, end_token=3, sampler=sampler, **GRAPH).generate(prompt=[[1]])
    scores = numpy(out.scores)[0]
    assert np.isfinite(scores[:4]).all() and np.isneginf(scores[4:]).all()
    assert numpy(out.tokens)[0, 4:].tolist() == [[1, 0]] * 2
    np.testing.assert_allclose(np.exp(scores[:4]).sum(), 1, atol=1e-5)


def test_keras_hub_finds_the_same_without_length_penalty_and_end():
    model = shaken(hybrid(8, 8), seed=6, scale=1.0)

    def step(prompt, cache, index):
        logits = model(prompt)
        return keras.ops.take(logits, index - 1, axis=1), None, cache

    hub = keras_hub.samplers.BeamSampler(4, return_all_beams=True)
    prompt = np.array([[1, 0, 0, 0, 0, 0], [5, 0, 0, 0, 0, 0]], "int32")
    tokens, scores = hub(step, keras.ops.convert_to_tensor(prompt), index=1, model=model)
    ours = Generator(model, 5, sampler=hub, **GRAPH).generate(prompt=prompt[:, :1])
    np.testing.assert_array_equal(numpy(ours.tokens), numpy(tokens))
    np.testing.assert_allclose(numpy(ours.scores), numpy(scores), atol=1e-4)


def test_what_a_step_hands_on_as_it_is_is_not_moved_in_the_loop(monkeypatch):
    """Keys and values of the source are laid out for the beams once, and never gathered."""
    shapes = {"_repeat_rows": [], "_take_rows": []}

    def record(name):
        function = getattr(_beam_loop, name)

        def recorded(x, *arguments):
            shapes[name].append(tuple(x.shape))
            return function(x, *arguments)

        monkeypatch.setattr(_beam_loop, name, recorded)

    for name in shapes:
        record(name)
    sampler = BeamSampler(3)
    generator = Generator(translator("transformer"), 5, start_token=2, sampler=sampler, **GRAPH)
    generator.generate(sources(2, 13))
    assert any(13 in shape for shape in shapes["_repeat_rows"])  # before the loop
    assert shapes["_take_rows"]
    assert not any(13 in shape for shape in shapes["_take_rows"])  # in the loop
