import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq.data import tokenizers, train_tokenizer
from keras_seq.data.tokenizers._kinds import KINDS
from tests.data.tokenizers import conftest
from tests.data.tokenizers.conftest import TEXTS, trained


def test_every_kind_is_tested():
    assert set(conftest.KINDS) == set(KINDS)


def test_the_special_ids_are_the_same(kind):
    tokenizer = trained(kind)
    for id, token in enumerate(("<pad>", "<unk>", "<s>", "</s>")):
        assert tokenizer.id_to_token(id) == token
        assert tokenizer.token_to_id(token) == id


def test_tokens_and_ids_belong_together(kind):
    tokenizer = trained(kind)
    ids = range(min(tokenizer.vocabulary_size(), 3000))
    tokens = [tokenizer.id_to_token(id) for id in ids]
    assert [tokenizer.token_to_id(token) for token in tokens] == list(ids)
    assert list(tokenizer.get_vocabulary())[: len(tokens)] == tokens
    assert tokenizer.token_to_id("no such token") == 1
    for beyond in (-1, tokenizer.vocabulary_size()):
        with pytest.raises(ValueError, match="`id` must be in"):
            tokenizer.id_to_token(beyond)


def test_the_end_is_added_when_asked(kind):
    plain, ended = trained(kind), trained(kind, add_end=True)
    assert ended.add_end and ended.add_eos and not plain.add_end and not plain.add_eos
    assert ended(TEXTS) == [[*row, 3] for row in plain(TEXTS)]
    assert list(ended("")) == [3] and list(plain("")) == []


def test_one_text_gives_the_ids_that_it_has_in_a_batch(kind):
    tokenizer = trained(kind, add_end=True)
    for text, row in zip(TEXTS, tokenizer(TEXTS), strict=True):
        for form in (text, tf.constant(text)):
            ids = np.asarray(tokenizer(form))
            assert ids.dtype == "int32" and ids.tolist() == row
    assert tokenizer(tf.constant(TEXTS)) == tokenizer(np.array(TEXTS)) == tokenizer(TEXTS)


def test_graphs_and_pipelines_give_the_ids_of_eager_calls(kind):
    tokenizer = trained(kind, add_end=True)
    texts = tf.data.Dataset.from_tensor_slices([*TEXTS, ""])
    batches = list(texts.batch(3).map(tokenizer))
    assert batches[0].dtype == tf.int32 and batches[0].shape.rank == 2
    expected = tokenizer([*TEXTS, ""])
    assert [row for batch in batches for row in batch.to_list()] == expected
    assert [row.numpy().tolist() for row in texts.map(tokenizer)] == expected


def test_detokenize_takes_ids_in_any_form_in_graphs_too(kind):
    tokenizer = trained(kind)
    text = "März 2021"
    ids = [int(i) for i in tokenizer(text)]
    forms = [ids, np.array(ids), tf.constant(ids), tf.constant(ids, "int64")]
    assert [tokenizer.detokenize(form) for form in forms] == [text] * 4
    rows = [[2, *ids, 3, 0, 0], [*ids, 3, 0, 0, 0]]
    batches = [rows, np.array(rows), tf.constant(rows), tf.ragged.constant([ids, ids])]
    assert [tokenizer.detokenize(form) for form in batches] == [[text] * 2] * 4
    assert tokenizer.detokenize([ids, [], ids[:0]]) == [text, "", ""]
    in_graph = tf.function(tokenizer.detokenize)(tf.constant(rows))
    assert [t.decode() for t in in_graph.numpy()] == [text] * 2


def test_detokenize_goes_on_after_the_end(kind):
    tokenizer = trained(kind)
    ids = [int(i) for i in tokenizer("März")]
    assert tokenizer.detokenize([[*ids, 3, *ids]])[0].replace(" ", "") == "MärzMärz"


def test_lower_case_is_part_of_the_tokenizer_and_is_made_character_by_character(kind):
    texts = [*TEXTS, "STRASSE ΣΑΣ ÉCOLE İ ẞ"]
    tokenizer = train_tokenizer(texts, kind, 200_000, lowercase=True, cache=False)
    lower = ["".join(c.lower() for c in text) for text in texts]
    assert tokenizer(texts) == tokenizer(lower)
    assert 1 not in {id for row in tokenizer(texts) for id in row}
    assert tokenizer.detokenize(tokenizer(texts[-1:])) == ["strasse σασ école i\u0307 ß"]


def test_pipelines_outlive_a_new_random_seed(kind):
    # It clears TensorFlow's cache of eager operations, which owns TensorFlow Text's models.
    tokenizer = train_tokenizer(TEXTS, kind, 200_000, cache=False)
    expected = tokenizer(TEXTS)
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(100).map(tokenizer)
    function = tf.function(tokenizer.tokenize)
    assert function(tf.constant(TEXTS)).to_list() == expected
    keras.utils.set_random_seed(1)
    assert next(iter(dataset)).to_list() == function(tf.constant(TEXTS)).to_list() == expected
    assert tokenizer(TEXTS) == expected and tokenizer.vocabulary_size() > 4
    assert tokenizer.detokenize(expected) == trained(kind).detokenize(expected)


def test_any_iterable_of_str_does_and_empty_texts_are_passed_over(kind):
    tokenizer = train_tokenizer((t for t in ["", *TEXTS, ""]), kind, 200_000, cache=False)
    assert tokenizer(TEXTS) == trained(kind)(TEXTS)


def test_nothing_is_printed_where_there_is_no_terminal(kind, capfd):
    tokenizer = train_tokenizer(TEXTS, kind, 200_000, add_end=True, cache=False)
    tokenizer.detokenize(tokenizer(TEXTS))
    assert capfd.readouterr() == ("", "")


def test_it_is_a_layer_of_a_functional_model(kind):
    inputs = keras.Input((), dtype="string")
    ids = trained(kind, add_end=True)(inputs)
    assert ids.shape == (None, None) and ids.dtype == "int32"


def test_the_classes_are_public_by_name():
    assert set(dir(tokenizers)) >= {"WordTokenizer", "load_tokenizer", "train_tokenizer"}
    assert isinstance(trained("word"), tokenizers.WordTokenizer)
    with pytest.raises(AttributeError, match="SyllableTokenizer"):
        _ = tokenizers.SyllableTokenizer


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((["abc"], "words"), ValueError, "`kind` .*'word', 'wordpiece'.*'words'"),
        (([""],), ValueError, "not empty"),
        (("abc",), TypeError, "Put it in a list"),
        ((["abc", b"abc"],), TypeError, "bytes at position 1"),
        ((["abc", "a\ud800"],), ValueError, "UTF-8 .*position 1"),
        ((["abc"], "word", 8.5), TypeError, "`vocabulary_size` must be an int"),
        ((["abc"], "word", True), TypeError, "`vocabulary_size` must be an int"),
        ((["abc"], "subword", 5), ValueError, "at least 8 .*4 distinct characters.*Received: 5"),
        ((["abc"], "bpe", 5), ValueError, "at least 8 .*bpe .*Received: 5"),
        ((["abc"], "wordpiece", 6), ValueError, "at least 7 .*3 distinct.*Received: 6"),
        ((["abc"], "word", 4), ValueError, "at least 5 .*Received: 4"),
        ((["abc"], "byte", 259), ValueError, "at least 260 .*Received: 259"),
        ((["ab힣"],"codepoint"), ValueError, "at least 55208 .*U\\+D7A3.*kind='character'"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        train_tokenizer(*arguments)


def test_wrong_options_are_refused():
    with pytest.raises(TypeError, match="`cache` .*Received: NoneType"):
        train_tokenizer(["abc"], cache=None)
    with pytest.raises(ValueError, match="`verbose` .*Received: 2"):
        train_tokenizer(["abc"], verbose=2)


def test_inputs_of_two_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"vector of strings. Received: shape \(1, 1\)"):
        trained("byte")([["abc"]])
