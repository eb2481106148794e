"""The blocks of docs/extending/generation.md run, and agree with NumPy and plain searches."""

import itertools
import math
import pathlib
import re

import keras
import numpy as np
import pytest

from keras_seq.export import to_litert
from keras_seq.generation import Generator, RandomSampler
from tests.generation.generation_models import hybrid, log_probabilities, shaken

numpy = keras.ops.convert_to_numpy
GRAPH = {"jit_compile": keras.backend.backend() != "tensorflow"}
TEXT = (pathlib.Path(__file__).parents[2] / "docs/extending/generation.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def defined(name):
    """What the block that defines `name` leaves behind; the block is run."""
    (block,) = [b for b in BLOCKS if re.search(rf"class {name}\b", b)]
    namespace = {"__name__": "extending"}
    exec(compile(block, f"<{name}>", "exec"), namespace)
    return namespace[name]


def only_public(block):
    return not re.search(r"keras_seq\S*\._|import _|\._[a-z]", block)


def test_the_blocks_use_public_names_alone_and_classes_are_short():
    assert all(map(only_public, BLOCKS)) and len(BLOCKS) == 5
    for name in ("AllowedPairs", "MinP", "MinPSampler", "DiverseBeamSampler"):
        (source,) = [
            m for b in BLOCKS for m in re.findall(rf"class {name}\b.*?(?=\n\n\n)", b, re.DOTALL)
        ]
        assert len([line for line in source.splitlines() if line.strip()]) <= 40


def test_stacked_samplers_draw_from_the_nucleus_of_the_likeliest():
    (block,) = [b for b in BLOCKS if "TopP(0.9)" in b]
    namespace = {}
    exec(compile(block, "<stacked>", "exec"), namespace)
    p = np.array([0.4, 0.3, 0.1, 0.1, 0.05, 0.05])
    top_k, top_p = namespace["sampler"].filters
    sampler = RandomSampler(0.8, filters=[top_k, type(top_k)(3), top_p])
    warm = np.where(np.arange(6) < 3, p ** (1 / 0.8), 0)
    warm /= warm.sum()
    inside = np.cumsum(warm) - warm <= 0.9  # of the three, before renormalizing
    assert_drawn(sampler, p, np.where(inside, warm, 0) / warm[inside].sum())


def assert_drawn(sampler, p, expected, rows=20000, seeds=5):
    """A chi-square test of what a sampler draws from `p`."""
    log_p = np.tile(np.log(p).astype("float32"), (rows, 1))
    drawn = [sampler(log_p, seed=np.array([seed, 0], "int32")) for seed in range(seeds)]
    tokens, scores = (np.concatenate([numpy(x) for x in part]) for part in zip(*drawn, strict=True))
    counts, possible = np.bincount(tokens, minlength=len(p)), expected > 0
    assert not counts[~possible].any()
    mean, freedom = len(tokens) * expected[possible], possible.sum() - 1
    assert ((counts[possible] - mean) ** 2 / mean).sum() < freedom + 4 * np.sqrt(2 * freedom)
    np.testing.assert_allclose(scores, np.log(p)[tokens], rtol=1e-5)


P = np.array([0.02, 0.3, 0.08, 0.25, 0.03, 0.2, 0.12])


@pytest.mark.parametrize("min_p", [0.3, 0.7])
def test_min_p_as_a_filter_and_as_a_sampler_has_the_distribution_of_its_definition(min_p):
    expected = np.where(P >= min_p * 0.3, P, 0)
    expected /= expected.sum()
    assert_drawn(RandomSampler(filters=[defined("MinP")(min_p)]), P, expected)
    assert_drawn(defined("MinPSampler")(min_p), P, expected)


def test_a_sampler_from_outside_draws_by_the_seed_in_a_loop_and_in_a_stream():
    generator = Generator(hybrid(), 6, sampler=defined("MinPSampler")(0.05, seed=7), **GRAPH)
    prompts = [[5], [6], [7], [8]]
    first, again, other = (
        numpy(generator.generate(prompt=prompts, **seed).tokens)
        for seed in ({"seed": 1}, {"seed": 1}, {})
    )
    own = numpy(generator.generate(prompt=prompts).tokens)
    assert (first == again).all() and (first != other).any() and (own == other).all()
    columns = np.stack(list(generator.stream(prompt=prompts, seed=1)), axis=1)
    assert (columns == first[:, 1:]).all()


@pytest.mark.parametrize("sampler", ["greedy", "beam"])
def test_allowed_pairs_are_those_of_the_table(sampler):
    rng = np.random.default_rng(0)
    table = rng.random((20, 20)) < 0.3
    model = shaken(hybrid(), 2)
    processor = defined("AllowedPairs")(table)
    generator = Generator(model, 5, sampler=sampler, logits_processors=[processor], **GRAPH)
    rows = numpy(generator.generate(prompt=[[5], [6]]).tokens)
    assert all(table[a, b] for row in rows for a, b in itertools.pairwise(row))
    if sampler == "greedy":
        for row in rows:
            tokens = [row[0]]
            for _ in range(5):
                log_p = log_probabilities(model, np.array([tokens], "int32"))[0, -1]
                tokens.append(np.where(table[tokens[-1]], log_p, -np.inf).argmax())
            assert row.tolist() == tokens
    with pytest.raises(ValueError, match=r"V = 8.*\(20, 20\)"):
        Generator(hybrid(8), 5, logits_processors=[processor])


def diverse_search(model, prompt, length, end, sampler):
    """Diverse beam search of one row in plain Python: (rank, tokens, log p) of each hypothesis."""
    size, groups = sampler.size, sampler.num_groups
    opened = [[(tuple(prompt), 0.0, 0.0)] for _ in range(groups)]  # tokens, total, log p
    ended = [[] for _ in range(groups)]
    for n in range(1, length + 1):
        used, penalty = {}, ((5 + n) / 6) ** sampler.length_penalty
        for g in range(groups):
            new = []
            for tokens, total, score in opened[g]:
                log_p = log_probabilities(model, np.array([tokens], "int32"))[0, -1]
                for v, value in enumerate(log_p):
                    cost = sampler.diversity_strength * used.get(v, 0)
                    new.append(((*tokens, v), total + value - cost, score + value))
            new.sort(key=lambda x: -x[1])
            ended[g] += [
                (total / penalty, tokens, score)
                for tokens, total, score in new[:size]
                if tokens[-1] == end or n == length
            ]
            ended[g] = sorted(ended[g], key=lambda x: -x[0])[:size]
            opened[g] = [x for x in new if x[0][-1] != end][:size]
            for tokens, _, _ in opened[g]:
                used[tokens[-1]] = used.get(tokens[-1], 0) + 1
        full = all(len(e) == size for e in ended)
        bound = max(total for group in opened for _, total, _ in group) / penalty
        if full and min(rank for e in ended for rank, _, _ in e) >= bound:
            break
    return sorted((x for e in ended for x in e), key=lambda x: -x[0])


@pytest.mark.parametrize("strength", [0.0, 0.8])
def test_diverse_beam_search_equals_the_same_in_plain_python(strength):
    model = shaken(hybrid(8, 8), 4, 0.6)
    sampler = defined("DiverseBeamSampler")(4, 2, strength, return_all_beams=True)
    prompts = [[5, 6], [7, 1], [2, 4]]
    generator = Generator(model, 5, end_token=3, sampler=sampler, **GRAPH)
    out = generator.generate(prompt=prompts)
    for row, prompt in enumerate(prompts):
        expected = diverse_search(model, prompt, 5, 3, sampler)
        found = {
            tuple(tokens): score
            for tokens, score in zip(
                numpy(out.tokens)[row].tolist(), numpy(out.scores)[row], strict=True
            )
        }
        for _, tokens, score in expected:
            padded = (*tokens, *[0] * (7 - len(tokens)))
            assert math.isclose(found[padded], score, abs_tol=1e-4)
        best = numpy(out.tokens)[row, 0].tolist()
        assert best[: len(expected[0][1])] == list(expected[0][1])
        distinct = len(found)
        assert distinct == (2 if strength == 0 else len({t for _, t, _ in expected}))


def test_diversity_makes_the_groups_differ():
    model = shaken(hybrid(8, 8), 4, 0.6)
    first_tokens = []
    for strength in (0.0, 50.0):
        sampler = defined("DiverseBeamSampler")(3, 3, strength, return_all_beams=True)
        out = Generator(model, 4, sampler=sampler, **GRAPH).generate(prompt=[[5]])
        first_tokens.append(len(set(numpy(out.tokens)[0, :, 1].tolist())))
    assert first_tokens == [1, 3]


@pytest.mark.needs_tensorflow(reason="LiteRT files are written by TensorFlow")
@pytest.mark.parametrize("name", ["AllowedPairs", "DiverseBeamSampler"])
def test_what_is_written_outside_is_exported_with_the_loop(name, tmp_path):
    if name == "AllowedPairs":
        table = np.random.default_rng(0).random((20, 20)) < 0.3
        options = {"logits_processors": [defined(name)(table)]}
    else:
        options = {"sampler": defined(name)(4, 2, 0.8)}
    generator = Generator(hybrid(), max_length=5, end_token=3, **options)
    prompt = np.random.default_rng(1).integers(4, 20, size=(12, 3))
    report = to_litert(generator, tmp_path / "m.tflite", prompt_length=3, prompt=prompt)
    assert report.agrees and report.inputs == 12  # token for token
