import keras
import numpy as np
import pytest

from keras_seq import models
from keras_seq.classification import TextClassifier, TextTagger
from tests.generation.generation_models import shaken
from tests.saving.letter_tokenizer import LetterTokenizer

NAMES = ["noun", "verb", "other"]
TEXTS = ["a b", "c  a\tb d a", "f", "e e e"]


@keras.saving.register_keras_serializable(package="tests")
class LetterWords(LetterTokenizer):
    """A word of one letter an id."""

    def __call__(self, texts):
        return super().__call__(["".join(text.split()) for text in texts])


LETTERS = LetterWords("abcdef")


def tagger(**options):
    sizes = {"embedding_dim": 8, "hidden_dim": 8}
    model = shaken(models.sequence_tagger(3, vocabulary_size=10, **sizes), scale=2.0)
    return TextTagger(model, LETTERS, NAMES, **options)


def test_each_word_gets_the_class_that_the_model_gives_its_id():
    tag = tagger(batch_size=3)
    for text, tagged in zip(TEXTS, tag(TEXTS), strict=True):
        ids = np.array(LETTERS([text]))
        logits = keras.ops.convert_to_numpy(tag.model(ids))[0]
        expected = [NAMES[i] for i in logits.argmax(axis=-1)]
        assert tagged == list(zip(text.split(), expected, strict=True))
    assert tag("f") == tag(TEXTS)[2]
    assert len({name for tagged in tag(TEXTS) for _, name in tagged}) > 1


def test_probabilities_of_padded_texts_are_those_of_each_alone():
    tag = tagger()
    for text, probabilities in zip(TEXTS, tag.predict(TEXTS), strict=True):
        assert probabilities.shape == (len(text.split()), 3)
        np.testing.assert_allclose(probabilities, tag.predict([text])[0], atol=1e-6)
        np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("too_long, words", [("keep_first", "c a"), ("keep_last", "d a")])
def test_a_longer_text_is_cut_with_its_words(too_long, words):
    tagged = tagger(sequence_length=2, too_long=too_long)(TEXTS[1])
    assert [word for word, _ in tagged] == words.split()
    with pytest.raises(ValueError, match="`too_long` of TextTagger"):
        tagger(sequence_length=2)(TEXTS)


def test_a_loaded_tagger_gives_the_probabilities_of_the_saved_one(tmp_path):
    tag = tagger(sequence_length=9)
    tag.save(tmp_path / "tagger.keras_seq")
    again = TextTagger.load(tmp_path / "tagger.keras_seq")
    for one, other in zip(again.predict(TEXTS), tag.predict(TEXTS), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="TextTagger"):
        TextClassifier.load(tmp_path / "tagger.keras_seq")


def test_what_does_not_fit_together_is_refused():
    model = tagger().model
    with pytest.raises(ValueError, match=r"one output \(B, T, C\), and `class_names`"):
        TextTagger(models.sequence_classifier(3, 10, hidden_dim=4), LETTERS, NAMES)
    with pytest.raises(ValueError, match=r"one output \(B, C\), and `class_names`"):
        TextClassifier(model, LETTERS, NAMES)
    with pytest.raises(ValueError, match="one id a word, .* Received: 3 ids for 'a bc'"):
        TextTagger(model, LETTERS, NAMES)(["a bc"])
    with pytest.raises(TypeError, match="list of strings"):
        tagger().predict("a b")
