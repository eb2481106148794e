import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_seq
from keras_seq import generation
from keras_seq.generation import Generator, TextGenerator
from tests.dtype_policy import dtype_policy
from tests.generation.generation_models import hybrid, shaken, translator
from tests.saving.letter_tokenizer import LetterTokenizer

SOURCES = ["abcde", "ba", "eeca", "d"]
SOURCE, TARGET = LetterTokenizer("abcde", add_end=True), LetterTokenizer("uvwxyz")
SPECIAL = {"start_token": 2, "end_token": 3, "jit_compile": False}

register = keras.saving.register_keras_serializable(package="tests")


@register
class Sometimes(generation.Sampler):
    """Draws the likeliest token or, as often as `chance` says, any."""

    needs_seed = True

    def __init__(self, chance, seed=None):
        self.chance, self.seed = chance, seed

    def __call__(self, log_probabilities, seed):
        ops = keras.ops
        u = generation.uniform(seed, ops.shape(log_probabilities)[0])
        best = ops.cast(ops.argmax(log_probabilities, axis=-1), "int32")
        size = log_probabilities.shape[-1]
        other = ops.cast(ops.minimum(u / self.chance, 0.99999) * size, "int32")
        tokens = ops.where(u < self.chance, other, best)
        scores = ops.take_along_axis(log_probabilities, ops.expand_dims(tokens, -1), axis=-1)
        return tokens, ops.squeeze(scores, -1)

    def get_config(self):
        return {"chance": self.chance, "seed": self.seed}


@register
class Rising(generation.LogitsProcessor):
    """No token is smaller than the one before it, plus `step`."""

    def __init__(self, step):
        self.step = step

    def __call__(self, scores, tokens, position, prompt_lengths):
        last = keras.ops.take(tokens, position - 1, axis=1)
        ids = keras.ops.arange(scores.shape[-1], dtype="int32")
        return keras.ops.where(
            ids < keras.ops.expand_dims(last, -1) + self.step, float("-inf"), scores
        )

    def get_config(self):
        return {"step": self.step}


OPTIONS = {
    "greedy": {},
    "drawing": {"sampler": generation.RandomSampler(0.8, 7, [generation.TopK(6)])},
    "beams": {"sampler": generation.BeamSampler(3, num_return_sequences=2)},
    "own sampler": {"sampler": Sometimes(0.5, seed=3)},
    "constraints": {"min_length": 3, "banned_tokens": [0, 4], "no_repeat_ngram_size": 2}
    | {"repetition_penalty": 1.3, "logits_processors": [Rising(-2)]},
    "lengths and ids": {"pad_token": 1, "source_pad_token": 0, "end_token": [3, 5]},
}


def saved_and_loaded(texts, path):
    texts.save(path)
    return TextGenerator.load(path)


def model_of(kind):
    return translator(kind, SOURCE.vocabulary_size(), TARGET.vocabulary_size())


@pytest.fixture(scope="module")
def model():
    return model_of("gru")


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_loaded_translator_gives_the_texts_of_the_saved_one(options, model, tmp_path):
    generator = Generator(model, max_length=6, **SPECIAL | options)
    texts = TextGenerator(generator, SOURCE, TARGET, source_length=8, batch_size=2)
    again = saved_and_loaded(texts, tmp_path / "translator")
    expected = texts(SOURCES)
    assert any(expected) and again(SOURCES) == expected
    assert (again.source_length, again.batch_size, again.unknown) == (8, 2, "warn")
    if generator.strategy.needs_seed:
        assert again(SOURCES, seed=11) == texts(SOURCES, seed=11)


@pytest.mark.parametrize(
    "start, options", [(2, {}), (None, OPTIONS["drawing"]), (2, OPTIONS["beams"])]
)
def test_a_loaded_language_model_goes_on_as_the_saved_one(start, options, tmp_path):
    generator = Generator(hybrid(10), max_length=5, **SPECIAL | {"start_token": start} | options)
    letters = LetterTokenizer("abcdef")
    texts = TextGenerator(generator, letters)
    again = saved_and_loaded(texts, tmp_path / "writer")
    assert again.source_tokenizer is again.target_tokenizer
    assert again(["ab", "fedcba"]) == texts(["ab", "fedcba"])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float16"])
def test_a_model_of_low_precision_is_loaded_with_its_policy(policy, tmp_path):
    with dtype_policy(policy):
        low = model_of("transformer")
    texts = TextGenerator(Generator(low, max_length=6, **SPECIAL), SOURCE, TARGET)
    again = saved_and_loaded(texts, tmp_path / "translator")
    policies = [
        [layer.dtype_policy.name for layer in m.layers if layer.weights]
        for m in (low, again.generator.model)
    ]
    assert policies[0] == policies[1] and set(policies[0]) == {policy}
    assert again(SOURCES) == texts(SOURCES)


def test_the_texts_of_a_language_model_are_prompts_and_what_follows(tmp_path):
    letters = LetterTokenizer("abcdef", add_end=True)  # whose end id is left out of prompts
    model = shaken(
        keras_seq.models.decoder_only_transformer(10, num_layers=1, num_heads=2, hidden_dim=8)
    )
    for start in (2, None):
        options = SPECIAL | {"start_token": start, "banned_tokens": [0]}
        generator = Generator(model, max_length=5, **options)
        texts = ["ab", "fedcba", "c"]
        written = TextGenerator(generator, letters, batch_size=2)(texts)
        for text, got in zip(texts, written, strict=True):
            prompt = [*([] if start is None else [start]), *(4 + "abcdef".find(c) for c in text)]
            tokens = np.asarray(generator.generate(prompt=[prompt]).tokens)[0].tolist()
            new = tokens[len(prompt) :]
            new = new[: new.index(3)] if 3 in new else [t for t in new if t]
            assert got == text + letters.detokenize(new)


def test_an_empty_prompt_needs_a_start_token():
    letters = LetterTokenizer("abcdef")
    options = {"max_length": 3, "jit_compile": False}
    started = TextGenerator(Generator(hybrid(10), start_token=2, **options), letters)
    assert isinstance(started(""), str)
    with pytest.raises(ValueError, match="at 1: no token"):
        TextGenerator(Generator(hybrid(10), **options), letters)(["a", ""])


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"sampler": lambda p: (p[:, 0], p[:, 0])},
            "`sampler` cannot be saved: <lambda> is a Pyth",
        ),
        (
            {"logits_processors": [Rising(1), lambda s, *_: s]},
            r"`logits_processors\[1\]` cannot be saved: <lambda> is a Python function",
        ),
    ],
)
def test_what_cannot_be_saved_is_named_before_anything_is_written(
    options, message, model, tmp_path
):
    texts = TextGenerator(Generator(model, max_length=4, **SPECIAL | options), SOURCE, TARGET)
    with pytest.raises(TypeError, match=message):
        texts.save(tmp_path / "translator")
    assert not os.listdir(tmp_path)


def test_a_tokenizer_that_cannot_be_saved_is_named(model, tmp_path):
    class Other(LetterTokenizer):
        pass

    generator = Generator(model, max_length=4, **SPECIAL)
    texts = TextGenerator(generator, SOURCE, Other("uvwxyz"))
    with pytest.raises(TypeError, match="`target_tokenizer` cannot be saved: .*Other is not reg"):
        texts.save(tmp_path / "translator")
    assert not os.listdir(tmp_path)


@pytest.mark.needs_tensorflow(reason="the tokenizers are trained in keras_seq.data")
@pytest.mark.parametrize("kinds", [("character", "byte"), ("wordpiece", None)])
def test_trained_tokenizers_ride_in_the_file(kinds, tmp_path):
    from keras_seq.data import train_tokenizer

    sources, targets = ["one two three", "이천 년"], ["1 2 3", "2000"]
    source = train_tokenizer(sources, kind=kinds[0], vocabulary_size=60, add_end=True)
    target = source
    if kinds[1] is not None:
        target = train_tokenizer(targets, kind=kinds[1], vocabulary_size=300)
    model = translator("gru", source.vocabulary_size(), target.vocabulary_size())
    texts = TextGenerator(Generator(model, max_length=6, **SPECIAL), source, target)
    again = saved_and_loaded(texts, tmp_path / "translator")
    assert again(sources) == texts(sources)
    assert (again.source_tokenizer is again.target_tokenizer) == (kinds[1] is None)


@pytest.mark.needs_tensorflow(reason="the tokenizers are trained in keras_seq.data")
def test_two_lines_translate_in_another_process(tmp_path):
    from keras_seq.data import train_tokenizer

    source = train_tokenizer(["one two three"], kind="character", add_end=True)
    target = train_tokenizer(["1 2 3"], kind="character")
    model = translator("gru", source.vocabulary_size(), target.vocabulary_size())
    texts = TextGenerator(Generator(model, max_length=6, **SPECIAL), source, target)
    texts.save(tmp_path / "translator")
    code = """
import keras_seq
print(ascii(keras_seq.generation.TextGenerator.load("translator")("two one")))
"""
    root = str(pathlib.Path(keras_seq.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == ascii(texts("two one"))
