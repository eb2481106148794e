import keras
import numpy as np
import pytest

from keras_seq.generation import BeamSampler, Generator
from keras_seq.generation.logits_processors import (
    BannedTokens,
    MinLength,
    NoRepeatNgram,
    RepetitionPenalty,
)
from keras_seq.generation.logits_processors._token_masks import FORBIDDEN
from tests.generation.generation_models import hybrid

numpy = keras.ops.convert_to_numpy
V, L = 6, 9
# Without XLA a loop is traced much faster; JAX compiles in either case.
GRAPH = {"jit_compile": keras.backend.backend() != "tensorflow"}


def batch(seed=0, rows=8):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(rows, V)).astype("float32")
    return scores, rng.integers(0, V, size=(rows, L)).astype("int32")


def applied(constraint, scores, tokens, position, lengths=None):
    lengths = np.ones(len(scores), "int32") if lengths is None else lengths
    position = keras.ops.convert_to_tensor(position, "int32")
    tokens, lengths = keras.ops.convert_to_tensor(tokens), keras.ops.convert_to_tensor(lengths)
    return numpy(constraint(keras.ops.convert_to_tensor(scores), tokens, position, lengths))


@pytest.mark.parametrize("position", [1, 4, L - 1])
def test_the_repetition_penalty_acts_on_what_has_been_written(position):
    scores, tokens = batch()
    expected = scores.copy()
    for row, ids in zip(expected, tokens, strict=True):
        for token in set(ids[:position]):
            row[token] = row[token] / 1.7 if row[token] > 0 else row[token] * 1.7
    got = applied(RepetitionPenalty(1.7), scores, tokens, position)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("sampler, chosen", [("greedy", 2), (BeamSampler(2), 1)])
def test_the_repetition_penalty_acts_on_logits_and_in_beams_on_log_probabilities(sampler, chosen):
    tokens = keras.Input((None,), dtype="int32")
    model = keras.Model(tokens, keras.layers.Embedding(3, 3)(tokens))
    # 30 / 1.1 is less than 29.5, but log p times 1.1 is no less than that of the second.
    model.set_weights([np.tile(np.array([0.0, 30.0, 29.5], "float32"), (3, 1))])
    generator = Generator(model, 1, sampler=sampler, repetition_penalty=1.1, jit_compile=False)
    assert numpy(generator.generate(prompt=[[1]]).tokens).tolist() == [[1, chosen]]


@pytest.mark.parametrize("size", [1, 2, 3, L + 1])
@pytest.mark.parametrize("position", [1, 3, L - 1])
def test_no_ngram_is_completed_twice(size, position):
    scores, tokens = batch(rows=40)
    tokens %= 3  # so that there are repetitions
    expected = scores.copy()
    for row, ids in zip(expected, tokens[:, :position].tolist(), strict=True):
        grams = {tuple(ids[j : j + size]) for j in range(len(ids) - size + 1)}
        start = ids[len(ids) - size + 1 :] if size > 1 else []
        if len(ids) >= size - 1:
            row[[v for v in range(V) if (*start, v) in grams]] = FORBIDDEN
    got = applied(NoRepeatNgram(size), scores, tokens, position)
    np.testing.assert_array_equal(got, expected)


def test_banned_tokens_and_early_end_tokens_are_never_chosen():
    scores, tokens = batch()
    expected = scores.copy()
    expected[:, [1, 4]] = FORBIDDEN
    np.testing.assert_array_equal(applied(BannedTokens([1, 4]), scores, tokens, 3), expected)
    lengths = np.arange(1, 9, dtype="int32")  # at place 6 rows have 5, 4, ... new tokens
    expected = scores.copy()
    expected[3:, [2, 5]] = FORBIDDEN
    np.testing.assert_array_equal(
        applied(MinLength(3, [2, 5]), scores, tokens, 6, lengths), expected
    )


def ngrams(ids, size):
    return [tuple(ids[j : j + size]) for j in range(len(ids) - size + 1)]


@pytest.mark.parametrize("sampler", ["greedy", "random", BeamSampler(3)])
def test_constraints_hold_together_with_any_sampler(sampler):
    model = hybrid()
    generator = Generator(
        model,
        max_length=10,
        end_token=3,
        sampler=sampler,
        min_length=6,
        banned_tokens=[0, 5],
        repetition_penalty=1.3,
        no_repeat_ngram_size=2,
        **GRAPH,
    )
    prompts = [[5, 6, 5], [8]]
    out = generator.generate(prompt=prompts, seed=4)
    new = []
    for prompt, tokens in zip(prompts, numpy(out.tokens).tolist(), strict=True):
        assert tokens[: len(prompt)] == prompt
        new.append(tokens[len(prompt) : len(prompt) + 10])
        end = new[-1].index(3) + 1 if 3 in new[-1] else 10
        assert end > 6
        new[-1] = new[-1][:end]
        assert not {0, 5} & set(new[-1])
        grams = ngrams(prompt + new[-1], 2)
        assert len(set(grams)) == len(grams)
    # The scores are the model's, not those of what it was allowed to say.
    np.testing.assert_allclose(
        numpy(out.scores), numpy(generator.score(new, prompt=prompts).scores), atol=1e-4
    )


@pytest.mark.parametrize("sampler", ["greedy", "random", BeamSampler(2, return_all_beams=True)])
def test_a_row_ends_where_nothing_is_left_to_say(sampler):
    """Each of 4 tokens may stand once, so that 3 or 2 are left."""
    generator = Generator(
        hybrid(4, 4), 5, pad_token=0, sampler=sampler, no_repeat_ngram_size=1, jit_compile=False
    )
    prompts = [[1], [2, 3]]
    out = generator.generate(prompt=prompts, seed=1)
    rows, scores = numpy(out.tokens), numpy(out.scores)
    assert np.isfinite(scores).all()
    for row, prompt in enumerate(prompts):
        for tokens, score in zip(
            rows[row].reshape(-1, 7).tolist(), scores[row].ravel(), strict=True
        ):
            assert tokens[: len(prompt)] == prompt and sorted(tokens[:4]) == [0, 1, 2, 3]
            assert tokens[4:] == [0, 0, 0]
            expected = numpy(generator.score([tokens[len(prompt) : 4]], prompt=[prompt]).scores)
            np.testing.assert_allclose(score, expected[0], atol=1e-4)


@pytest.mark.parametrize("sampler", ["greedy", BeamSampler(2)])
def test_a_prompt_that_leaves_nothing_to_say_is_read_to_its_end(sampler):
    generator = Generator(
        hybrid(4, 4), 2, sampler=sampler, no_repeat_ngram_size=1, jit_compile=False
    )
    rows = numpy(generator.generate(prompt=[[1], [2, 3, 1, 0, 2]]).tokens).tolist()
    assert rows[1] == [2, 3, 1, 0, 2, 0, 0]


@pytest.mark.parametrize("sampler", ["greedy", "random", BeamSampler(3)])
def test_a_prefix_begins_what_is_generated_and_counts(sampler):
    model = hybrid()
    generator = Generator(model, max_length=5, end_token=3, sampler=sampler, **GRAPH)
    prompts, prefixes = [[5, 6], [8, 9, 10], [4, 4, 4]], [[7, 3 + 1, 9], [], [11]]
    out = generator.generate(prompt=prompts, prefix=prefixes, seed=1)
    new = []
    for prompt, prefix, row in zip(prompts, prefixes, numpy(out.tokens).tolist(), strict=True):
        assert row[: len(prompt + prefix)] == prompt + prefix
        assert not any(row[len(prompt) + 5 :])  # max_length counts the prefix
        new.append(row[len(prompt) : len(prompt) + 5])
        new[-1] = new[-1][: new[-1].index(3) + 1] if 3 in new[-1] else new[-1]
    np.testing.assert_allclose(
        numpy(out.scores), numpy(generator.score(new, prompt=prompts).scores), atol=1e-4
    )


def test_a_common_prefix_goes_before_every_row_and_continues_like_a_prompt():
    model = hybrid()
    generator = Generator(model, max_length=6, start_token=2, **GRAPH)
    with_prefix = numpy(generator.generate(prefix=[7, 9]).tokens)
    as_prompt = numpy(generator.generate(prompt=[[2, 7, 9]], max_length=4).tokens)
    assert with_prefix.tolist() == as_prompt[:, 1:].tolist()
    rows = numpy(generator.generate(prompt=[[2], [4]], prefix=np.array([7, 9])).tokens)
    assert rows[:, 1:3].tolist() == [[7, 9]] * 2 and rows[0].tolist() == [2, *with_prefix[0]]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"min_length": -1}, "min_length"),
        ({"min_length": 5}, "min_length.*max_length=4"),
        ({"min_length": 1, "end_token": None}, "min_length.*end_token"),
        ({"banned_tokens": [20]}, r"banned_tokens.*\[0, 20\).*20"),
        ({"banned_tokens": "no"}, "banned_tokens"),
        ({"banned_tokens": list(range(20))}, "at least one token"),
        (
            {"banned_tokens": [i for i in range(20) if i != 3], "min_length": 1},
            "at least one token",
        ),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"repetition_penalty": float("inf")}, "repetition_penalty.*inf"),
        ({"no_repeat_ngram_size": 1.5}, "no_repeat_ngram_size"),
    ],
)
def test_constraints_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        Generator(hybrid(), **{"max_length": 4, "end_token": 3, **arguments})


@pytest.mark.parametrize(
    "prefix, message",
    [
        ([], "prefix"),
        ([[], []], "prefix"),
        ([4, 20], r"prefix.*\[0, 20\).*20"),
        ([4] * 5, "prefix.*max_length=4"),
        ([4, 3], "end token.*4, 3"),
        ([[4]], "1 rows and the batch has 2"),
        (np.array([[0, 4], [4, 5]]), "right"),
    ],
)
def test_a_prefix_is_checked(prefix, message):
    generator = Generator(hybrid(), max_length=4, end_token=3, min_length=1)
    with pytest.raises(ValueError, match=message):
        generator.generate(prompt=[[4], [5]], prefix=prefix)
    with pytest.raises(TypeError, match="prefix"):
        generator.generate(prompt=[[4]], prefix=[1.5])
    with pytest.raises(ValueError, match="min_length=2"):
        Generator(hybrid(), 4, end_token=3, min_length=2).generate(prompt=[[4]], max_length=1)
    assert generator.trace_count == 0
