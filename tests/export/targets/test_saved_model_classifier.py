import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq import models
from keras_seq.classification import TextClassifier
from keras_seq.data import train_tokenizer
from keras_seq.export import ExportError, to, to_litert, to_saved_model, verify
from keras_seq.export._texts_to_ids import padded_ids, random_texts
from keras_seq.generation._padding import padded_width
from tests.generation.generation_models import shaken
from tests.saving.letter_tokenizer import LetterTokenizer

TEXTS = ["a fine film", "dull", "we saw a fine film twice", "영화는 a 좋다", "no film , no film"]
NAMES = ["bad", "good", "so-so ☺"]


def new_classifier(**options):
    """The same classifier at each call."""
    keras.utils.set_random_seed(0)
    tokenizer = train_tokenizer(TEXTS, kind="word", cache=False)
    size = tokenizer.vocabulary_size()
    return TextClassifier(
        shaken(models.sequence_classifier(3, size, hidden_dim=8)), tokenizer, NAMES, **options
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "reviews" / "1"
    return path, to("saved_model", new_classifier(sequence_length=6), path)


def serve(path):
    return tf.saved_model.load(path).signatures["serving_default"]


def test_a_classifier_takes_strings_and_gives_probabilities_and_names(exported):
    path, report = exported
    assert report.agrees and report.values == 3 * report.inputs > 3 * 20
    assert report.signatures["serving_default"] == (
        "texts string[None] -> classes string[None], probabilities float32[None, 3]"
    )
    got, classify = serve(path)(texts=tf.constant(TEXTS)), new_classifier()
    np.testing.assert_allclose(got["probabilities"], classify.predict(TEXTS), atol=1e-5)
    assert [name.decode() for name in got["classes"].numpy()] == classify(TEXTS)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "must not be empty"),
        ("\t\u3000 \x85", "must not be empty"),
        ("a fine film a fine film a", "at most 6 tokens"),
    ],
)
def test_what_the_classifier_refuses_is_an_error_of_the_call(text, message, exported):
    path, _ = exported
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        serve(path)(texts=tf.constant(["a", text]))
    with pytest.raises(ValueError):
        new_classifier(sequence_length=6)(["a", text])


def test_verify_computes_a_metric_and_finds_other_weights_and_other_names(exported):
    path, _ = exported
    classify = new_classifier(sequence_length=6)

    def is_good(outputs):
        return (outputs["classes"] == "good").mean()

    report = verify(path, classify, TEXTS, metric=is_good)
    share = np.mean([name == "good" for name in classify(TEXTS)])
    assert report.inputs == len(TEXTS) and report.metric == ("is_good", share, share)
    assert "is_good" in str(report)
    with pytest.raises(ExportError, match="gives the class"):
        verify(path, TextClassifier(classify.model, classify.tokenizer, NAMES[::-1]), TEXTS)
    classify.model.set_weights([-w for w in classify.model.get_weights()])
    with pytest.raises(ExportError, match="the probabilities differ by"):
        verify(path, classify, TEXTS)


def demands_xla(signature):
    functions = signature.graph.as_graph_def().library.function
    return any(f.attr["_XlaMustCompile"].b for f in functions)


def test_xla_is_a_second_signature_that_gives_the_same(tmp_path):
    classify = new_classifier()
    report = to_saved_model(classify, tmp_path / "1", texts=TEXTS, jit_compile=True)
    signatures = tf.saved_model.load(tmp_path / "1").signatures
    assert not demands_xla(signatures["serving_default"])
    assert demands_xla(signatures["serving_xla"])
    got = signatures["serving_xla"](texts=tf.constant(TEXTS))
    np.testing.assert_allclose(got["probabilities"], classify.predict(TEXTS), atol=1e-5)
    assert report.signatures["serving_xla"] == report.signatures["serving_default"]
    assert report.latency > 0 and report.xla_latency > 0 and "compiled by XLA" in str(report)


@pytest.mark.parametrize(
    "too_long", ["keep_first", pytest.param("keep_last", marks=pytest.mark.thorough)]
)
def test_a_model_of_fixed_width_that_ends_in_a_softmax_cuts_longer_texts(too_long, tmp_path):
    tokenizer = train_tokenizer(TEXTS, kind="byte")
    ids = keras.Input((4,), dtype="int32")
    x = keras.layers.Embedding(tokenizer.vocabulary_size(), 8)(ids)
    x = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(x))
    classify = TextClassifier(shaken(keras.Model(ids, x)), tokenizer, NAMES, too_long=too_long)
    report = to_saved_model(classify, tmp_path / "1", texts=TEXTS)
    assert report.agrees and report.inputs == len(TEXTS)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.data-00000-of-00001"])
def test_verify_finds_a_flipped_bit(name, exported, tmp_path):
    path, classify = tmp_path / "1", new_classifier(sequence_length=6)
    shutil.copytree(exported[0], path)
    content = bytearray((path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (path / name).write_bytes(content)
    with pytest.raises(ExportError, match=f"is damaged, in the file '{name}'"):
        verify(path, classify, TEXTS)


def traced_ids(tokenizer, texts, **options):
    function = tf.function(lambda t: padded_ids(tokenizer, t, 0, **options), autograph=False)
    return function(tf.constant(texts))


@pytest.mark.parametrize("too_long", ["keep_first", "keep_last"])
def test_texts_are_cut_and_padded_as_the_classifier_does_it(too_long):
    classify = new_classifier(sequence_length=3, too_long=too_long)
    ids = traced_ids(classify.tokenizer, TEXTS, limit=3, too_long=too_long)
    np.testing.assert_array_equal(ids, classify.tokenize(TEXTS))


@pytest.mark.parametrize("limit", [None, 70])
def test_few_widths_are_those_of_padded_width(limit):
    tokenizer = train_tokenizer(TEXTS, kind="byte")
    for length in (1, 8, 9, 16, 17, 33, 70):
        ids = traced_ids(tokenizer, ["a" * length, "b"], limit=limit, few_widths=True)
        assert ids.shape[1] == padded_width(length, limit or float("inf"))


def test_random_texts_begin_with_one_of_a_token_and_one_of_as_many_as_are_allowed():
    for kind in ("byte", "character"):
        tokenizer = train_tokenizer(TEXTS * 9, kind=kind, add_end=True)
        counts = [len(row) for row in tokenizer(random_texts(tokenizer, 12))]
        assert counts[:2] == [2, 12] and max(counts) == 12  # the end is a token


def test_wrong_objects_are_refused_with_what_is_accepted(tmp_path):
    for wrong in ("model", LetterTokenizer("ab")):
        with pytest.raises(TypeError, match=r"TextGenerator or keras_seq.classification.TextCl.*R"):
            to_saved_model(wrong, tmp_path / "1")
    classify = new_classifier()
    letters = TextClassifier(classify.model, LetterTokenizer("abc"), NAMES)
    with pytest.raises(TypeError, match="`tokenizer` must turn a tensor of strings into ragged"):
        to_saved_model(letters, tmp_path / "1")
    with pytest.raises(ValueError, match="`inputs` of to_saved_model is not for a TextClassifier"):
        to_saved_model(classify, tmp_path / "1", inputs=[[1]])
    with pytest.raises(TypeError, match="Received: TextClassifier"):
        to_litert(classify, tmp_path / "m.tflite")
    assert not list(tmp_path.iterdir())
