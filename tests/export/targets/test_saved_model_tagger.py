import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq import models
from keras_seq.classification import TextTagger
from keras_seq.data import train_tokenizer
from keras_seq.export import ExportError, to_saved_model, verify
from tests.generation.generation_models import shaken

TEXTS = ["the dog runs", "a cat", "the cat sees  a dog and\ta mouse", "unheard"]
NAMES = ["noun", "verb", "other ☺"]


def new_tagger():
    """The same at each call."""
    keras.utils.set_random_seed(0)
    tokenizer = train_tokenizer(TEXTS[:3], kind="word", cache=False)
    sizes = {"vocabulary_size": tokenizer.vocabulary_size(), "hidden_dim": 8}
    return TextTagger(shaken(models.sequence_tagger(3, **sizes)), tokenizer, NAMES, 8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "tagger" / "1"
    return path, to_saved_model(new_tagger(), path)


def test_a_tagger_takes_strings_and_gives_the_class_of_each_word(exported):
    path, report = exported
    tag = new_tagger()
    assert report.agrees and report.values > 3 * report.inputs > 3 * 20
    got = tf.saved_model.load(path).signatures["serving_default"](texts=tf.constant(TEXTS))
    for row, tagged in zip(got["classes"].numpy(), tag(TEXTS), strict=True):
        names = [name.decode() for name in row]
        assert names[: len(tagged)] == [name for _, name in tagged]
        assert set(names[len(tagged) :]) <= {""}
    for row, expected in zip(got["probabilities"].numpy(), tag.predict(TEXTS), strict=True):
        np.testing.assert_allclose(row[: len(expected)], expected, atol=1e-5)
        assert not row[len(expected) :].any()


@pytest.mark.thorough
def test_xla_is_a_second_signature_that_gives_the_same(tmp_path):
    report = to_saved_model(new_tagger(), tmp_path / "1", texts=TEXTS, jit_compile=True)
    assert report.agrees and report.xla_latency > 0


def test_verify_computes_a_metric_and_finds_other_weights_and_other_names(exported):
    path, _ = exported
    tag = new_tagger()

    def nouns(outputs):
        return sum((names == "noun").sum() for names in outputs["classes"])

    report = verify(path, tag, TEXTS, metric=nouns)
    count = sum(name == "noun" for tagged in tag(TEXTS) for _, name in tagged)
    assert report.inputs == len(TEXTS) and report.metric == ("nouns", count, count)
    with pytest.raises(ExportError, match="gives the class"):
        verify(path, TextTagger(tag.model, tag.tokenizer, NAMES[::-1], 8), TEXTS)
    tag.model.set_weights([-w for w in tag.model.get_weights()])
    with pytest.raises(ExportError, match="the probabilities differ by"):
        verify(path, tag, TEXTS)
