import keras
import numpy as np
import pytest

from keras_seq import models
from keras_seq.classification import TextClassifier
from tests.dtype_policy import dtype_policy
from tests.generation.generation_models import shaken
from tests.saving.letter_tokenizer import LetterTokenizer

LETTERS = LetterTokenizer("abcdef")
TEXTS = ["ab", "fedcba", "c", "bad", "deaf"]
NAMES = ["first", "second", "third"]


def classifier_model(cell="gru", **options):
    return shaken(
        models.sequence_classifier(
            3, 10, cell=cell, embedding_dim=8, hidden_dim=8, num_heads=2, **options
        ),
        scale=0.5,
    )


def ids_of(text):
    return [4 + "abcdef".index(c) for c in text]


def softmax(logits):
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exp / exp.sum(axis=-1, keepdims=True)


def test_probabilities_are_those_of_each_text_alone():
    model = classifier_model()
    classify = TextClassifier(model, LETTERS, NAMES, batch_size=2)
    logits = [np.asarray(model.predict_on_batch(np.array([ids_of(t)])))[0] for t in TEXTS]
    expected = softmax(np.stack(logits))
    np.testing.assert_allclose(classify.predict(TEXTS), expected, atol=1e-5)
    assert classify(TEXTS) == [NAMES[i] for i in expected.argmax(axis=-1)]
    assert classify("c") == classify(TEXTS)[2]


def test_the_probabilities_of_a_model_that_ends_in_a_softmax_stay_as_they_are():
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(10, 8, mask_zero=True)(tokens)
    x = keras.layers.GlobalAveragePooling1D()(x)
    model = shaken(keras.Model(tokens, keras.layers.Dense(3, activation="softmax")(x)))
    expected = np.asarray(model.predict_on_batch(np.array([ids_of("bad")])))
    got = TextClassifier(model, LETTERS, NAMES).predict(["bad"])
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("too_long, read", [("keep_first", "fed"), ("keep_last", "cba")])
def test_a_longer_text_is_cut_at_the_end_that_was_asked_for(too_long, read):
    model = classifier_model()
    classify = TextClassifier(model, LETTERS, NAMES, sequence_length=3, too_long=too_long)
    assert classify.tokenize(["fedcba"]).tolist() == [ids_of(read)]
    with pytest.raises(ValueError, match=r"6 tokens.*sequence_length=3.*'fedcba'.*too_long"):
        TextClassifier(model, LETTERS, NAMES, sequence_length=3)(["fedcba"])


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_loaded_classifier_gives_the_probabilities_of_the_saved_one(policy, tmp_path):
    with dtype_policy(policy):
        model = classifier_model("transformer")
    classify = TextClassifier(model, LETTERS, NAMES, 4, "keep_last", batch_size=3)
    classify.save(tmp_path / "classifier")
    again = TextClassifier.load(tmp_path / "classifier")
    np.testing.assert_array_equal(again.predict(TEXTS), classify.predict(TEXTS))
    assert again(TEXTS) == classify(TEXTS)
    assert (again.sequence_length, again.too_long, again.batch_size) == (4, "keep_last", 3)


@pytest.mark.needs_tensorflow(reason="the tokenizer is trained in keras_seq.data")
def test_a_trained_tokenizer_rides_in_the_file(tmp_path):
    from keras_seq.data import train_tokenizer

    texts = ["a fine film", "how dull"]
    tokenizer = train_tokenizer(texts, kind="word")
    model = shaken(
        models.sequence_classifier(2, tokenizer.vocabulary_size(), embedding_dim=4, hidden_dim=4)
    )
    classify = TextClassifier(model, tokenizer, ["bad", "good"])
    classify.save(tmp_path / "classifier")
    again = TextClassifier.load(tmp_path / "classifier")
    np.testing.assert_array_equal(again.predict(texts), classify.predict(texts))


@pytest.mark.parametrize(
    "texts, error, message",
    [
        (["a", ""], ValueError, "at 1"),
        ([], ValueError, "empty list"),
        (["a", 5], TypeError, "at 1: 5"),
        (7, TypeError, "list of strings"),
        (["\ud800"], ValueError, "lone surrogates"),
    ],
)
def test_what_is_no_text_is_refused(texts, error, message):
    with pytest.raises(error, match=message):
        TextClassifier(classifier_model(), LETTERS, NAMES)(texts)


def test_what_does_not_fit_together_is_refused(tmp_path):
    model = classifier_model()
    with pytest.raises(ValueError, match="one output.*and 2 names"):
        TextClassifier(model, LETTERS, NAMES[:2])
    with pytest.raises(TypeError, match="`class_names`"):
        TextClassifier(model, LETTERS, [0, 1, 2])
    with pytest.raises(ValueError, match="`tokenizer` has 16 ids and the model knows 10"):
        TextClassifier(model, LetterTokenizer("abcdefghijkl"), NAMES)
    with pytest.raises(ValueError, match="`too_long`"):
        TextClassifier(model, LETTERS, NAMES, too_long="drop")
    numbers = models.sequence_classifier(3, num_features=2, hidden_dim=4)
    with pytest.raises(ValueError, match="one input of token ids"):
        TextClassifier(numbers, LETTERS, NAMES)
    tokens = keras.Input((4,), dtype="int32")
    fixed = keras.Model(tokens, keras.layers.Dense(3)(keras.ops.cast(tokens, "float32")))
    assert TextClassifier(fixed, LETTERS, NAMES).tokenize(["ab"]).shape == (1, 4)
    with pytest.raises(ValueError, match="`sequence_length` of TextClassifier must be at most 4"):
        TextClassifier(fixed, LETTERS, NAMES, sequence_length=5)
    with pytest.raises(ValueError, match="must be a functional"):
        TextClassifier(type("Own", (keras.Model,), {})(), LETTERS, NAMES)
