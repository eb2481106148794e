"""TFDS' text datasets by their features alone: what they hold is made up, nothing is downloaded."""

import pytest
import tensorflow_datasets as tfds

from keras_seq.data import classification, language_model, tagging, translation


@pytest.fixture(autouse=True)
def mocked():
    with tfds.testing.mock_data(num_examples=64):
        yield


@pytest.mark.parametrize("name", ["ted_hrlr_translate/pt_to_en", "wmt14_translate/de-en"])
def test_translation(name):
    data = translation(name, batch_size=8, vocabulary_size=500)
    inputs, labels, weights = next(iter(data.train))
    assert inputs["target"].shape == labels.shape == weights.shape
    assert data.columns in {("pt", "en"), ("de", "en")}


@pytest.mark.parametrize("name", ["lm1b", "tiny_shakespeare", "wikipedia/20190301.ko"])
def test_language_model(name):
    text = "text" if name.startswith("wikipedia") else None
    data = language_model(name, text=text, sequence_length=8, batch_size=2)
    tokens, labels = next(iter(data.train))
    assert tokens.shape == labels.shape == (2, 8)


@pytest.mark.parametrize(
    ("name", "columns", "classes"),
    [
        ("imdb_reviews", {}, 2),
        ("ag_news_subset", {}, 4),
        ("glue/sst2", {"inputs": "sentence"}, 2),
        ("yelp_polarity_reviews", {}, 2),
    ],
)
def test_classification(name, columns, classes):
    data = classification(name, batch_size=8, vocabulary_size=500, **columns)
    tokens, labels = next(iter(data.train))
    assert tokens.shape[0] == len(labels) == 8 and len(data.class_names) == classes


@pytest.mark.parametrize(("name", "labels"), [("conll2003", "pos"), ("wikiann/de", "tags")])
def test_tagging(name, labels):
    data = tagging(name, inputs="tokens", labels=labels, batch_size=4, errors="skip")
    tokens, tags, weights = next(iter(data.train))
    assert tokens.shape == tags.shape == weights.shape and len(data.class_names) > 5
