"""A logits processor written from outside, through public names only."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_seq
from keras_seq.generation import BeamSampler, Generator
from tests.generation.generation_models import hybrid, log_probabilities

numpy = ops.convert_to_numpy
GRAPH = {"jit_compile": keras.backend.backend() != "tensorflow"}


class Alternate(keras_seq.generation.LogitsProcessor):
    """Even and odd ids alternate, and new tokens have an id of at least twice their number."""

    def __call__(self, scores, tokens, position, prompt_lengths):
        last = ops.take(tokens, position - 1, axis=1)
        ids = ops.arange(scores.shape[-1], dtype="int32")
        same = ops.equal(ids % 2, ops.expand_dims(last % 2, -1))
        small = ids < ops.expand_dims(2 * (position - prompt_lengths), -1)
        return ops.where(ops.logical_or(same, small), float("-inf"), scores)


def alternating_greedy(model, prompt, max_length):
    """The same in NumPy, by whole calls."""
    tokens, score = list(prompt), 0.0
    for n in range(max_length):
        log_p = log_probabilities(model, np.array([tokens], "int32"))[0, -1]
        allowed = [v for v in range(2 * n, len(log_p)) if v % 2 != tokens[-1] % 2]
        tokens.append(max(allowed, key=lambda v: log_p[v]))
        score += log_p[tokens[-1]]
    return tokens, score


@pytest.mark.parametrize("sampler", ["greedy", BeamSampler(1)])
def test_a_processor_from_outside_acts_as_the_same_rule_in_numpy(sampler):
    model, prompts = hybrid(), [[5, 6], [8, 9, 4]]
    generator = Generator(model, 5, sampler=sampler, logits_processors=[Alternate()], **GRAPH)
    out = generator.generate(prompt=prompts)
    for prompt, tokens, score in zip(prompts, numpy(out.tokens), numpy(out.scores), strict=True):
        expected, expected_score = alternating_greedy(model, prompt, 5)
        assert tokens[: len(expected)].tolist() == expected
        np.testing.assert_allclose(score, expected_score, atol=1e-4)


@pytest.mark.parametrize("sampler", ["random", BeamSampler(3)])
def test_a_processor_from_outside_holds_for_every_sampler_and_with_the_arguments(sampler):
    generator = Generator(
        hybrid(), 6, sampler=sampler, banned_tokens=[7], logits_processors=[Alternate()], **GRAPH
    )
    tokens = numpy(generator.generate(prompt=[[5], [6]]).tokens)
    assert (tokens[:, 1:] % 2 != tokens[:, :-1] % 2).all()
    assert (tokens[:, 1:] >= 2 * np.arange(6)).all() and not (tokens == 7).any()


def test_a_stream_applies_a_processor():
    generator = Generator(hybrid(), 4, logits_processors=[Alternate()], **GRAPH)
    columns = np.stack(list(generator.stream(prompt=[[5], [6]])), axis=1)
    whole = numpy(generator.generate(prompt=[[5], [6]]).tokens)
    assert columns.tolist() == whole[:, 1:].tolist()


def test_a_plain_function_is_a_processor_and_the_list_is_applied_in_its_order():
    def shift(scores, tokens, position, prompt_lengths):
        return scores + 1e3 * ops.cast(ops.arange(20) == 4, "float32")

    def only_shifted(scores, tokens, position, prompt_lengths):
        return ops.where(scores > 500, scores, float("-inf"))

    def tokens(*processors):
        made = Generator(hybrid(), 2, logits_processors=processors, jit_compile=False)
        return numpy(made.generate(prompt=[[5]]).tokens).tolist()

    assert tokens(shift, only_shifted) == [[5, 4, 4]]
    assert tokens(only_shifted, shift) == [[5, 0, 0]]  # no token is left


def test_what_is_no_processor_and_what_gives_no_scores_is_refused():
    for wrong in (["top"], 3, [keras_seq.generation.NoRepeatNgram]):
        with pytest.raises(ValueError, match="logits_processors.*callables"):
            Generator(hybrid(), 2, logits_processors=wrong)
    generator = Generator(hybrid(), 2, logits_processors=[lambda s, *_: s[:, 0]], jit_compile=False)
    with pytest.raises(ValueError, match=r"<lambda> must return scores.*\(B, 20\)"):
        generator.generate(prompt=[[5]])


def test_a_processor_is_asked_whether_it_fits_the_model():
    class ForLargeVocabularies(keras_seq.generation.LogitsProcessor):
        def check(self, generator):
            if generator.vocabulary_size < 100:
                raise ValueError(f"too small: {generator.vocabulary_size}")

    with pytest.raises(ValueError, match="too small: 20"):
        Generator(hybrid(), 2, logits_processors=[ForLargeVocabularies()])


@pytest.mark.parametrize(
    "processor",
    [
        keras_seq.generation.MinLength(2, [3, 4]),
        keras_seq.generation.BannedTokens([1, 5]),
        keras_seq.generation.RepetitionPenalty(1.5),
        keras_seq.generation.NoRepeatNgram(2),
    ],
)
def test_a_processor_is_rebuilt_from_its_config(processor):
    again = type(processor).from_config(processor.get_config())
    rng = np.random.default_rng(0)
    scores = ops.convert_to_tensor(rng.normal(size=(8, 6)).astype("float32"))
    tokens = ops.convert_to_tensor(rng.integers(0, 3, size=(8, 9)).astype("int32"))
    arguments = scores, tokens, ops.convert_to_tensor(4, "int32"), ops.full((8,), 3, "int32")
    np.testing.assert_array_equal(numpy(again(*arguments)), numpy(processor(*arguments)))
    assert (numpy(again(*arguments)) != numpy(scores)).any()
