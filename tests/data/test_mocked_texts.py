"""TFDS' text datasets by their features alone: what they hold is made up, nothing is downloaded."""

import pytest

from keras_seq.data import classification, language_model, tagging, translation


@pytest.mark.parametrize("name", ["ted_hrlr_translate/pt_to_en", "wmt14_translate/de-en"])
def test_translation(mocked, name):
    with mocked(name) as folder:
        data = translation(name, data_dir=folder, batch_size=8, tokenizer="character")
    inputs, labels, weights = next(iter(data.train))
    assert inputs["target"].shape == labels.shape == weights.shape
    assert data.columns in {("pt", "en"), ("de", "en")}


@pytest.mark.parametrize("name", ["lm1b", "tiny_shakespeare"])
def test_language_model(mocked, name):
    with mocked(name) as folder:
        data = language_model(name, data_dir=folder, sequence_length=8, batch_size=2)
    tokens, labels = next(iter(data.train))
    assert tokens.shape == labels.shape == (2, 8)


@pytest.mark.parametrize(
    ("name", "columns", "classes"),
    [
        ("imdb_reviews", {}, 2),
        ("ag_news_subset", {"inputs": "description"}, 4),
        ("glue/sst2", {"inputs": "sentence"}, 2),
        ("yelp_polarity_reviews", {}, 2),
    ],
)
def test_classification(mocked, name, columns, classes):
    with mocked(name) as folder:
        data = classification(name, data_dir=folder, batch_size=8, tokenizer="character", **columns)
    tokens, labels = next(iter(data.train))
    assert tokens.shape[0] == len(labels) == 8 and len(data.class_names) == classes


@pytest.mark.parametrize(("name", "labels"), [("conll2003", "pos"), ("wikiann/de", "tags")])
def test_tagging(mocked, name, labels):
    options = {"inputs": "tokens", "labels": labels, "batch_size": 1, "errors": "skip"}
    # Made up sequences have as many words as labels by chance alone.
    with mocked(name, ("train", "validation", "test"), num_examples=200) as folder:
        data = tagging(name, data_dir=folder, **options)
    tokens, tags, weights = next(iter(data.train))
    assert tokens.shape == tags.shape == weights.shape and len(data.class_names) > 5
