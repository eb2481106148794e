"""Generators whose loop LiteRT runs."""

import importlib.util

import keras
import numpy as np
import pytest

from keras_seq.export import ExportError, _litert_engine
from keras_seq.generation import BeamSampler, Generator, SearchStrategy
from tests.generation.generation_models import hybrid, sources, translator

CONSTRAINTS = {
    "repetition_penalty": 1.3,
    "no_repeat_ngram_size": 2,
    "min_length": 2,
    "banned_tokens": [7],
}
PROMPTS = {"prompt": [[5, 6, 7], [8], [9, 4]]}
PREFIXES = {**PROMPTS, "prefix": [[4], [], [6, 5]]}


def check_equal(arguments, call):
    """The engine gives the tokens and scores of the compiled function; the engine's generator."""
    compiled, litert = (Generator(**arguments, engine=name) for name in ("compiled", "litert"))
    expected, got = compiled.generate(**call), litert.generate(**call)
    np.testing.assert_array_equal(got.tokens, expected.tokens)
    np.testing.assert_allclose(got.scores, expected.scores, atol=1e-4)
    assert got.steps == expected.steps
    return litert


def decoder(**options):
    return {"model": hybrid(), "max_length": 6, "end_token": 3, **options}


def encoder_decoder(kind, **options):
    return {
        "model": translator(kind),
        "max_length": 8,
        "start_token": 2,
        "end_token": 3,
        **options,
    }


thorough = pytest.mark.thorough


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        (decoder(**CONSTRAINTS), PREFIXES),
        pytest.param(
            encoder_decoder("transformer", sampler=BeamSampler(3, num_return_sequences=2)),
            {"inputs": sources()},
            marks=thorough,
        ),
        pytest.param(decoder(sampler="beam"), PREFIXES, marks=thorough),
        pytest.param(decoder(sampler="top_p"), {**PREFIXES, "seed": 2**40}, marks=thorough),
        pytest.param(encoder_decoder("lstm"), {"inputs": sources()}, marks=thorough),
        pytest.param(
            encoder_decoder("post_norm", **CONSTRAINTS),
            {"inputs": sources(rows=3), **PROMPTS},
            marks=thorough,
        ),
        pytest.param(encoder_decoder("gru", sampler="beam"), {"inputs": sources()}, marks=thorough),
    ],
)
def test_tokens_and_scores_are_those_of_the_compiled_function(arguments, call):
    check_equal(arguments, call)


@pytest.fixture
def instant_files(monkeypatch):
    """Files that are made at once, and give the prompt back; the rows of each one made."""
    made = []

    class Instant:
        def __init__(self, loop):
            made.append(loop.specs()["prompt"][0][0])

        @staticmethod
        def runner(prompt, lengths, **_):
            return {"tokens": prompt, "scores": np.zeros(len(prompt)), "steps": np.int32(1)}

    monkeypatch.setattr(_litert_engine, "_LoadedLoop", Instant)
    return made


def roll_a_kernel(model):
    """The same numbers in another order: no sum over them would tell."""
    kernel = max(model.trainable_variables, key=lambda v: np.prod(v.shape))
    kernel.assign(np.roll(kernel, 1, axis=0))


def test_a_file_is_made_for_each_set_of_shapes_and_when_the_model_has_changed(instant_files):
    arguments = decoder()
    model = arguments["model"]
    generator = Generator(**arguments, engine="litert")

    def made_at_a_call(rows):
        before = len(instant_files)
        generator.generate(prompt=[[5, 6]] * rows)
        return instant_files[before:]

    assert made_at_a_call(1) == [1] and made_at_a_call(2) == [2]
    assert made_at_a_call(1) == [] and made_at_a_call(2) == []
    roll_a_kernel(model)
    assert made_at_a_call(1) == [1] and made_at_a_call(2) == [2]
    assert made_at_a_call(1) == [] and generator.trace_count == 4
    model.set_weights(model.get_weights())  # the same values
    assert made_at_a_call(1) == []
    model.layers[-1].activation = keras.activations.tanh
    assert made_at_a_call(1) == [1]


def test_the_files_of_the_shapes_used_last_are_kept(instant_files, monkeypatch):
    monkeypatch.setattr(_litert_engine, "_CAPACITY", 2)
    generator = Generator(**decoder(), engine="litert")
    for rows in (1, 2, 1, 3, 1, 2):
        generator.generate(prompt=[[5, 6]] * rows)
    assert instant_files == [1, 2, 3, 2]


@pytest.mark.thorough
def test_what_is_generated_after_a_change_of_the_weights_is_the_changed_models():
    arguments, source = encoder_decoder("gru"), sources(rows=2)
    generator = check_equal(arguments, {"inputs": source})
    before = np.asarray(generator.generate(source).tokens)
    roll_a_kernel(arguments["model"])
    expected = np.asarray(Generator(**arguments).generate(source).tokens)
    assert (expected != before).any()
    np.testing.assert_array_equal(generator.generate(source).tokens, expected)


def test_int8_weights_choose_nearly_the_tokens_of_the_model():
    arguments = encoder_decoder("gru")
    arguments["model"] = translator("transformer", width=64)  # small kernels stay as they are
    source = sources(rows=20)
    expected = np.asarray(Generator(**arguments).generate(source).tokens)
    generator = Generator(**arguments, weights="int8")
    assert generator.engine == "litert"
    got = generator.generate(source)
    first = np.asarray(got.tokens)[:, 0]  # whatever comes later depends on it
    assert np.mean(first == expected[:, 0]) > 0.8
    # The weights are not those of the model: else the scores would be equal to the last digits.
    compared = np.asarray(Generator(**arguments).score(got.tokens, source).scores)
    assert np.abs(np.asarray(got.scores) - compared).max() > 1e-4
    with pytest.raises(ValueError, match="`stream` runs on the model's own weights"):
        generator.stream(source)


def test_what_cannot_work_is_refused_before_any_work(monkeypatch):
    for options, words in (
        ({"engine": "fastest"}, "must be one of .'auto', 'compiled', 'litert'.*'fastest'"),
        ({"weights": "int4"}, "must be None or 'int8'.*'int4'"),
        ({"weights": "int8", "engine": "compiled"}, "must be None for engine='compiled'"),
    ):
        with pytest.raises(ValueError, match=words):
            Generator(**decoder(), **options)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "keras_seq\[litert\]"'):
        Generator(**decoder(), engine="litert")


class Unconvertible(SearchStrategy):
    """A search with an operator of TensorFlow that LiteRT does not have."""

    def search(self, generator, start):
        import tensorflow as tf

        tokens = tf.random.stateless_uniform(start.tokens.shape, [1, 2], 0, 9, "int32")
        return tokens, tf.zeros((start.tokens.shape[0],)), 1


@pytest.mark.thorough
def test_a_loop_that_cannot_be_converted_says_what_can_run_it():
    generator = Generator(**decoder(sampler=Unconvertible()), engine="litert")
    with pytest.raises(ExportError, match="engine='compiled'\\) can"):
        generator.generate(prompt=[[5]])
