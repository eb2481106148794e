import functools

import keras
import numpy as np
import pytest

import keras_seq
from keras_seq.export import ExportError
from keras_seq.export._compare_tokens import compare_tokens
from keras_seq.export._draws import Draws
from keras_seq.generation import BeamSampler, Generator, uniform
from keras_seq.generation.samplers._random_numbers import seed_words
from tests.generation.generation_models import hybrid, sources, translator

DECODING = {
    "greedy": {},
    "constraints": {
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        "min_length": 3,
        "banned_tokens": 7,
    },
    "no candidates": {"no_repeat_ngram_size": 1, "banned_tokens": [3, *range(6, 18)]},
    "beams": {"sampler": BeamSampler(num_beams=3, length_penalty=0.6)},
    "constrained beams": {"sampler": BeamSampler(num_beams=2), "no_repeat_ngram_size": 2},
}


def given(name):
    """`(generator, inputs, prompt)` of a translator, the same weights at each call."""
    keras.utils.set_random_seed(0)
    made = Generator(translator("gru"), 8, start_token=2, end_token=3, **DECODING[name])
    return made, {"source": sources(rows=9, width=7)}, None


@functools.cache
def generated_by(name):
    return generated(*given(name))


def generated(made, inputs, prompt):
    made.jit_compile = False
    out = made.generate(inputs or None, prompt)
    return np.array(out.tokens), np.array(out.scores)


@pytest.mark.parametrize("name", DECODING)
def test_what_generate_gives_agrees_with_the_model_s_own_call(name):
    made, inputs, prompt = given(name)
    tokens, scores = generated_by(name)
    result = compare_tokens("It", made, inputs, prompt, tokens, scores, 1e-3)
    assert result["tokens"] == result["tokens_equal"] > 0 and result["near_ties"] == 0
    assert result["largest_difference"] < 1e-4


def test_prompts_of_different_lengths_agree():
    made = Generator(hybrid(), max_length=6, end_token=3)
    prompt = np.array([[4, 5, 6, 7], [9, 0, 0, 0], [8, 11, 0, 0]])
    tokens, scores = generated(made, None, prompt)
    result = compare_tokens("It", made, {}, prompt, tokens, scores, 1e-3)
    ended = np.cumsum(tokens == 3, axis=1) - (tokens == 3) > 0
    new = ~ended & (np.arange(10) >= [[4], [1], [2]]) & (np.arange(10) < [[10], [7], [8]])
    assert result["tokens"] == result["tokens_equal"] == new.sum()


@pytest.mark.parametrize("name", ["greedy", "beams"])
def test_one_other_token_is_an_error_that_shows_it(name):
    made, inputs, prompt = given(name)
    tokens, scores = generated_by(name)
    other = tokens.copy()
    other[4, 1] = (other[4, 1] + 1) % 18
    with pytest.raises(ExportError, match="on 9 inputs. First in row 4 at place 2"):
        compare_tokens("It", made, inputs, prompt, other, scores, 1e-3)


@pytest.mark.parametrize("token", [-1, 18])
def test_ids_that_the_model_cannot_give_are_an_error(token):
    made, inputs, prompt = given("greedy")
    tokens, scores = generated_by("greedy")
    tokens = np.where(np.arange(9)[:, None] == 2, token, tokens)
    with pytest.raises(ExportError, match="First in row 2 at place 1"):
        compare_tokens("It", made, inputs, prompt, tokens, scores, 1e-3)


def test_a_token_after_the_end_is_an_error():
    made, inputs, prompt = given("greedy")
    made.end_tokens = list(range(3, 18))  # a row ends at once
    tokens, scores = generated(made, inputs, prompt)
    assert (tokens[:, 1:] == 0).all()
    tokens[3, 5] = 4
    with pytest.raises(ExportError, match="First in row 3 at place 6"):
        compare_tokens("It", made, inputs, prompt, tokens, scores, 1e-3)


@pytest.mark.parametrize(
    "name, change", [("greedy", -0.1), ("greedy", np.nan), ("greedy", -np.inf), ("beams", -0.1)]
)
def test_other_scores_are_an_error(name, change):
    made, inputs, prompt = given(name)
    tokens, scores = generated_by(name)
    scores = np.where(np.arange(9) == 5, scores + change, scores)
    with pytest.raises(ExportError, match="scores differ"):
        compare_tokens("It", made, inputs, prompt, tokens, scores, 1e-3)


def test_either_of_two_equally_likely_tokens_may_be_chosen():
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, keras.layers.Embedding(5, 5)(ids))
    model.set_weights([np.tile([0.0, 0.0, 1.0, 1.0, 0.5], (5, 1))])
    made, prompt = Generator(model, max_length=3), np.array([[1]])
    score = np.array([3 * (1 - np.log(2 + 2 * np.e + np.exp(0.5)))])
    result = compare_tokens("It", made, {}, prompt, np.array([[1, 2, 3, 2]]), score, 1e-3)
    assert result["tokens"] == result["tokens_equal"] == 3 and result["near_ties"] == 1
    with pytest.raises(ExportError, match="at place 2"):
        compare_tokens("It", made, {}, prompt, np.array([[1, 2, 4, 2]]), score, 1e-3)


def drawn(rows=8):
    """`(generator, inputs, tokens, scores, draws)` of calls of one, one and six rows."""
    made = Generator(translator("gru"), 8, start_token=2, end_token=3, sampler="random")
    made.jit_compile = False
    source, sizes, seeds = sources(rows, width=7), [1, 1, rows - 2], [5, 6, 7 + (1 << 40)]
    parts = np.split(source, np.cumsum(sizes)[:-1])
    outs = [made.generate(part, seed=seed) for part, seed in zip(parts, seeds, strict=True)]
    tokens, scores = (np.concatenate([np.asarray(out[i]) for out in outs]) for i in (0, 1))
    draws = Draws(made.sampler, [seed_words(seed) for seed in seeds], sizes)
    return made, {"source": source}, tokens, scores, draws


def test_each_drawn_token_is_drawn_again_from_the_model_s_own_call():
    made, inputs, tokens, scores, draws = drawn()
    arguments = made, inputs, None, tokens, scores, 1e-3
    result = compare_tokens("It", *arguments, draws)
    assert result["tokens"] == result["tokens_equal"] > 8 and result["near_ties"] == 0
    draws.seeds[1] = seed_words(8)
    with pytest.raises(ExportError, match="on 8 inputs.*First in row 1"):
        compare_tokens("It", *arguments, draws)
    draws.sizes, draws.starts = [2, 6], [0, 2]  # other rows of a call
    draws.seeds = [draws.seeds[0], draws.seeds[2]]
    with pytest.raises(ExportError, match="First in row 1"):
        compare_tokens("It", *arguments, draws)


def test_a_token_may_be_drawn_whose_part_of_the_distribution_is_next_to_the_number():
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, keras.layers.Embedding(5, 5)(ids))
    made = Generator(model, max_length=1, sampler="random")
    seed, prompt = seed_words(3), np.array([[1]])
    u = float(uniform(np.array([*seed, 1], "int32"), 1)[0])
    for shift, gives in ((1e-4, "a near tie"), (-0.01, "an error")):
        # Token 2 has what is left and right of it token 0 and 4: `u` is `shift` past its end.
        p = np.array([0.0, 0.0, u - shift, 0.0, 1 - u + shift]) + 1e-12
        model.set_weights([np.tile(np.log(p), (5, 1))])
        other = 2 if shift > 0 else 4
        tokens, score = np.array([[1, other]]), np.log(p[[other]])
        arguments = "It", made, {}, prompt, tokens, score, 1e-3, Draws(made.sampler, [seed], [1])
        if gives == "a near tie":
            assert compare_tokens(*arguments)["near_ties"] == 1
        else:
            with pytest.raises(ExportError, match="at place 1"):
                compare_tokens(*arguments)


def test_a_quantized_file_may_choose_some_other_tokens_and_say_how_many():
    made, inputs, prompt = given("greedy")
    tokens, scores = generated_by("greedy")
    other = tokens.copy()
    other[4, 1] = 4 if other[4, 1] != 4 else 5
    arguments = "It", made, inputs, prompt, other, scores, 100.0, None
    result = compare_tokens(*arguments, min_agreement=0.5)
    assert 0 < result["tokens"] - result["tokens_equal"] < 9  # what follows depends on it
    with pytest.raises(ExportError, match="min_agreement=0.99"):
        compare_tokens(*arguments, min_agreement=0.99)
    made.end_tokens = [*range(3, 18)]  # all but the first token is padding, which nothing rounds
    with pytest.raises(ExportError, match="does not agree"):
        compare_tokens(*arguments, min_agreement=0.1)


def test_a_model_of_a_fixed_batch_with_a_stateful_layer_is_left_as_it_was():
    ids = keras.Input((None,), dtype="int32", batch_size=2)
    layer = keras_seq.layers.GRU(8, return_sequences=True, stateful=True)
    y = layer(keras.layers.Embedding(9, 8)(ids))
    model = keras.Model(ids, keras.layers.Dense(9)(y))
    made, prompt = Generator(model, max_length=4), np.array([[1, 2], [3, 4]])
    tokens, scores = generated(made, None, prompt)
    model(prompt)
    before = [np.asarray(v) for v in layer.non_trainable_variables]
    twice = [np.concatenate([a, a]) for a in (prompt, tokens, scores)]
    result = compare_tokens("It", made, {}, *twice, 1e-3)
    assert result["tokens"] == result["tokens_equal"] == 16
    for variable, value in zip(layer.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
