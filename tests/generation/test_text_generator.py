import keras
import numpy as np
import pytest

from keras_seq import models
from keras_seq.generation import BeamSampler, Generator, TextGenerator
from tests.generation.generation_models import translator

SOURCES = ["one two three", "two three", "이천 년 삼월", "eins zwei"]
TARGETS = ["1 2 3", "2 3", "2000-03", "1-2"]

pytestmark = pytest.mark.needs_tensorflow(reason="the tokenizers are trained in keras_seq.data")


@pytest.fixture
def tokenizers():
    from keras_seq.data import train_tokenizer

    source = train_tokenizer(SOURCES, kind="character", add_end=True)
    return source, train_tokenizer(TARGETS, kind="character")


@pytest.fixture
def generator(tokenizers):
    model = translator("gru", *(t.vocabulary_size() for t in tokenizers))
    return Generator(model, max_length=8, start_token=2, end_token=3)


def test_a_string_gives_a_string_and_a_list_a_list(generator, tokenizers):
    translate = TextGenerator(generator, *tokenizers)
    one = translate("one two")
    assert isinstance(one, str)
    assert translate(["one two", "zwei"])[0] == one


def test_texts_get_the_same_whatever_they_are_batched_with(generator, tokenizers):
    together = TextGenerator(generator, *tokenizers, batch_size=8)(SOURCES * 3)
    small = TextGenerator(generator, *tokenizers, batch_size=2)
    assert small(SOURCES * 3) == together
    assert [small(text) for text in SOURCES] == together[:4]


def test_text_ends_before_the_end_token(generator, tokenizers):
    translate = TextGenerator(generator, *tokenizers)
    ids = [int(i) for i in tokenizers[1](["2 3"])[0]]
    tokens = np.array([[*ids, 3, *ids], [3, *ids, *ids, 4][: len(ids) * 2 + 1]])
    assert translate.detokenize(tokens) == ["2 3", ""]


def test_a_pad_token_of_the_targets_pads_no_source_and_is_no_text(generator, tokenizers):
    unknown = 1  # which is text elsewhere
    options = {"max_length": 8, "start_token": 2, "end_token": 3, "banned_tokens": [0, 1, 2, 3]}
    padding = Generator(
        generator.model, pad_token=unknown, no_repeat_ngram_size=1, jit_compile=False, **options
    )
    texts = TextGenerator(padding, *tokenizers)
    assert texts.tokenize(["one"]).tolist() == [[*map(int, tokenizers[0]("one")), 0, 0, 0, 0]]
    assert "⁇" not in texts("one")  # it ends where every character has been written
    assert texts.detokenize(np.full((1, 4), unknown)) == [""]


@pytest.mark.parametrize("empty", ["", "  ", "\n"])
def test_an_empty_text_is_refused_with_its_place(generator, tokenizers, empty):
    with pytest.raises(ValueError, match="at 1"):
        TextGenerator(generator, *tokenizers)(["one", empty])


def test_a_lone_surrogate_is_refused_in_words(generator, tokenizers):
    with pytest.raises(ValueError, match="`texts`.*lone surrogates"):
        TextGenerator(generator, *tokenizers)(["one", "t\ud800o"])


def test_a_text_longer_than_the_limit_is_refused_and_shown(generator, tokenizers):
    translate = TextGenerator(generator, *tokenizers, source_length=6)
    assert isinstance(translate("three"), str)  # five characters and the end id
    with pytest.raises(ValueError, match=r"7 tokens.*source_length=6.*'two on'"):
        translate(["one", "two on"])


def test_characters_outside_the_vocabulary_are_named(generator, tokenizers):
    with pytest.warns(UserWarning, match="X ☃"):
        assert isinstance(TextGenerator(generator, *tokenizers)("one ☃X"), str)
    with pytest.raises(ValueError, match="☃"):
        TextGenerator(generator, *tokenizers, unknown="error")(["two", "one ☃"])


def test_characters_outside_the_vocabulary_can_be_ignored(generator, tokenizers, recwarn):
    TextGenerator(generator, *tokenizers, unknown="ignore")("one ☃")
    assert not [w for w in recwarn if "vocabulary" in str(w.message)]


@pytest.mark.parametrize("texts, error", [(5, TypeError), ([5], TypeError), ([], ValueError)])
def test_what_is_no_text_is_refused(generator, tokenizers, texts, error):
    with pytest.raises(error, match="texts"):
        TextGenerator(generator, *tokenizers)(texts)


def with_two_sources():
    ids = {
        name: keras.Input((None,), dtype="int32", name=name)
        for name in ("first", "second", "target")
    }
    vectors = {name: keras.layers.Embedding(20, 4)(x) for name, x in ids.items()}
    first, second = (keras.ops.mean(vectors[n], axis=1, keepdims=True) for n in ("first", "second"))
    return keras.Model(ids, keras.layers.Dense(20)(vectors["target"] + first + second))


def test_what_does_not_fit_together_is_refused(generator, tokenizers):
    with pytest.raises(ValueError, match=r"one context input.*\['first', 'second'\]"):
        two = Generator(with_two_sources(), max_length=4, start_token=2, end_token=3)
        TextGenerator(two, *tokenizers)
    small = Generator(translator("gru", 6, 6), max_length=4, start_token=2, end_token=3)
    with pytest.raises(ValueError, match="`source_tokenizer` has"):
        TextGenerator(small, *tokenizers)
    endless = Generator(generator.model, max_length=4, start_token=2)
    with pytest.raises(ValueError, match="end_token"):
        TextGenerator(endless, *tokenizers)
    with pytest.raises(ValueError, match="unknown"):
        TextGenerator(generator, *tokenizers, unknown="perhaps")


def test_sources_may_fill_all_positions_of_the_model_and_no_more(tokenizers):
    sizes = [t.vocabulary_size() for t in tokenizers]
    model = models.transformer(
        *sizes, num_layers=1, num_heads=1, hidden_dim=8, intermediate_dim=8, sequence_length=20
    )
    made = Generator(model, max_length=3, start_token=2, end_token=3, jit_compile=False)
    translate = TextGenerator(made, *tokenizers)
    assert isinstance(translate("one two three two"), str)  # 17 characters and the end id
    assert translate.tokenize(["one two three two"]).shape == (1, 20)
    with pytest.raises(ValueError, match="22 tokens.*source_length=20"):
        translate("one two three two one")
    with pytest.raises(ValueError, match="source_length.*at most 20.*64"):
        TextGenerator(made, *tokenizers, source_length=64)


def test_sampler_and_options_reach_the_generator(generator, tokenizers):
    options = {"max_length": 8, "start_token": 2, "end_token": 3, "jit_compile": False}
    drawing = Generator(generator.model, sampler="random", banned_tokens=[0, 1, 2, 3], **options)
    random = TextGenerator(drawing, *tokenizers)  # one character a token
    texts = ["one two"] * 8
    drawn = random(texts, seed=1)
    assert drawn == random(texts, seed=1) != random(texts, seed=2)
    assert any(len(text) > 2 for text in drawn)
    assert all(len(text) <= 2 for text in random(texts, max_length=2))
    beams = BeamSampler(3, return_all_beams=True)
    several = TextGenerator(Generator(generator.model, sampler=beams, **options), *tokenizers)
    found = several(["one two", "zwei"])
    assert [len(texts) for texts in found] == [3, 3] and several("zwei") == found[1]
    small_batches = TextGenerator(random.generator, *tokenizers, batch_size=4)
    drawn = small_batches(texts, seed=1)
    assert drawn[:4] != drawn[4:]  # each batch draws numbers of its own
