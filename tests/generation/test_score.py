import itertools

import keras
import numpy as np
import pytest

from keras_seq.generation import Generator
from keras_seq.layers import GRU
from tests.generation.generation_models import (
    hybrid,
    log_probabilities,
    shaken,
    sources,
    translator,
)

numpy = keras.ops.convert_to_numpy
GRAPH = {"jit_compile": keras.backend.backend() != "tensorflow"}


def test_the_score_is_the_product_of_each_tokens_probability():
    model = translator("lstm")
    generator = Generator(model, max_length=6, start_token=2, end_token=3, **GRAPH)
    source, targets = sources(3), [[5, 6, 7, 8, 3], [9, 3], [4, 4, 4]]
    log_p, scores = (numpy(x) for x in generator.score(targets, source))
    assert log_p.shape == (3, 5)
    for row, ids, got, score in zip(source, targets, log_p, scores, strict=True):
        x = np.array([[2, *ids[:-1]]], "int32")
        whole = log_probabilities(model, {"source": row[None][:, row != 0], "target": x})[0]
        expected = whole[np.arange(len(ids)), ids]
        np.testing.assert_allclose(got[: len(ids)], expected, atol=1e-4)
        assert not got[len(ids) :].any()
        np.testing.assert_allclose(score, expected.sum(), atol=1e-4)


def test_what_is_generated_has_the_score_that_it_was_given():
    generator = Generator(
        translator("transformer"),
        max_length=8,
        start_token=2,
        end_token=3,
        sampler="random",
        **GRAPH,
    )
    out = generator.generate(sources(), seed=2)
    traced = generator.trace_count
    for _ in range(2):
        scores = generator.score(out.tokens, sources()).scores
        np.testing.assert_allclose(numpy(scores), numpy(out.scores), atol=1e-4)
    assert generator.trace_count == traced + 1


def test_the_probabilities_of_all_sequences_sum_up_to_one():
    generator = Generator(shaken(hybrid(4, 8), seed=3), 3, end_token=3, **GRAPH)
    whole = itertools.product(range(4), repeat=3)
    sequences = sorted({s[: s.index(3) + 1] if 3 in s else s for s in whole})
    prompts = [[1, 2]] * len(sequences)
    scores = numpy(generator.score([list(s) for s in sequences], prompt=prompts).scores)
    np.testing.assert_allclose(np.exp(scores).sum(), 1, atol=1e-5)


def test_prompts_of_different_lengths_are_read_and_not_scored():
    model = hybrid()
    generator = Generator(model, max_length=3, end_token=3, **GRAPH)
    prompts, targets = [[5, 6, 7], [8]], [[9, 3], [4, 5, 6]]
    log_p = numpy(generator.score(targets, prompt=prompts).log_probabilities)
    for prompt, ids, got in zip(prompts, targets, log_p, strict=True):
        whole = log_probabilities(model, np.array([prompt + ids], "int32"))[0]
        expected = [whole[len(prompt) - 1 + t, v] for t, v in enumerate(ids)]
        np.testing.assert_allclose(got[: len(ids)], expected, atol=1e-4)


def test_a_row_goes_up_to_its_end_token_and_pad_tokens_inside_count():
    generator = Generator(hybrid(), 3, start_token=2, end_token=[3, 9], **GRAPH)
    targets = [[0, 5, 0, 0], [5, 3, 6, 7], [5, 9, 6, 7]]
    log_p = numpy(generator.score(np.array(targets)).log_probabilities)
    expected = [[True, True, False, False]] * 3
    assert (log_p != 0).tolist() == expected


def test_rows_that_end_with_the_pad_token_are_scored_with_their_end():
    generator = Generator(hybrid(6), 6, end_token=0, pad_token=0, sampler="random", **GRAPH)
    out = generator.generate(prompt=[[5]] * 8, seed=1)
    new = numpy(out.tokens)[:, 1:]
    assert (new[:, -1] == 0).any()
    scores = generator.score(new, prompt=[[5]] * 8).scores
    np.testing.assert_allclose(numpy(scores), numpy(out.scores), atol=1e-4)


def test_a_stateful_model_is_scored_from_the_start_each_time():
    tokens = keras.Input((None,), dtype="int32", batch_size=1)
    x = GRU(4, return_sequences=True, stateful=True)(keras.layers.Embedding(9, 4)(tokens))
    model = shaken(keras.Model(tokens, keras.layers.Dense(9)(x)))
    generator = Generator(model, 3, banned_tokens=[0], **GRAPH)  # what pads is not scored
    out = generator.generate(prompt=[[5, 6]])
    for _ in range(2):
        scores = generator.score(numpy(out.tokens)[:, 2:], prompt=[[5, 6]]).scores
        np.testing.assert_allclose(numpy(scores), numpy(out.scores), atol=1e-5)


def test_ids_that_are_read_and_never_written_may_stand_in_a_prompt_and_pad():
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Dense(12)(keras.layers.Embedding(14, 4)(tokens))
    model = shaken(keras.Model(tokens, x))
    generator = Generator(model, 4, end_token=[1, 2, 3], pad_token=13, jit_compile=False)
    prompts = [[5, 12, 4], [6]]
    out = generator.generate(prompt=prompts, prefix=[[7, 8], [9]])
    new = [row[len(p) : len(p) + 4] for row, p in zip(numpy(out.tokens), prompts, strict=True)]
    scores = generator.score(np.array(new), prompt=prompts).scores
    np.testing.assert_allclose(numpy(scores), numpy(out.scores), atol=1e-4)
    short = numpy(generator.score([[7, 8, 4], [9]], prompt=prompts).log_probabilities)
    assert (short != 0).tolist() == [[True] * 3, [True, False, False]]
    with pytest.raises(ValueError, match=r"targets.*\[0, 12\).*12"):
        generator.score([[12], [5]], prompt=prompts)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"targets": [[4, 18]]}, r"targets.*\[0, 18\).*18"),
        ({"targets": [[]]}, "empty"),
        ({"targets": [4, 5]}, "targets"),
        ({"targets": np.array([4, 5])}, "targets.*shape"),
        ({"targets": [[4], [5]]}, "2 rows.*1"),
        ({"targets": [[4]], "inputs": None}, "source"),
        ({"targets": [[4]], "prompt": [[20]]}, "prompt"),
    ],
)
def test_bad_targets_are_refused(arguments, message):
    generator = Generator(translator("gru"), max_length=4, start_token=2, end_token=3)
    with pytest.raises(ValueError, match=message):
        generator.score(**{"inputs": sources(1), **arguments})
    with pytest.raises(TypeError, match="int"):
        generator.score([[0.5]], sources(1))
    assert generator.trace_count == 0
