import keras_hub
import pytest
import tensorflow as tf

from keras_seq.data import load, pairs, train_tokenizer


def as_kept(texts):
    """KerasHub before 0.26, the last for Python 3.10, loses a subword text's leading spaces."""
    version = tuple(map(int, keras_hub.__version__.split(".")[:2]))
    return [t.lstrip(" ") for t in texts] if version < (0, 26) else texts


def test_the_count_of_characters_decides_the_size_of_a_character_tokenizer():
    tokenizer = train_tokenizer(["abc", "a b"], "character")
    assert tokenizer.vocabulary_size() == 4 + len("abc ")


def test_a_small_corpus_gives_a_small_vocabulary():
    assert train_tokenizer(["a b"], "subword", vocabulary_size=8000).vocabulary_size() < 20


def test_long_texts_count_too():
    tokenizer = train_tokenizer(["a" * 10_000 + "ß", "b"], "character")
    assert 1 not in tokenizer("ß")


def test_an_unseen_character_is_the_unknown_id():
    assert 1 in train_tokenizer(["abc"], "character")("abx")


def test_two_tokenizers_stay_apart_in_graphs_and_in_a_saved_model(tmp_path):
    tokenizers = [train_tokenizer([text], "character") for text in ("abc", "xyz cba")]
    texts = tf.constant(["abc"])
    expected = [tokenizer(["abc"]) for tokenizer in tokenizers]
    datasets = [tf.data.Dataset.from_tensors(texts).map(tokenizer) for tokenizer in tokenizers]
    (pair,) = tf.data.Dataset.zip(*datasets)
    assert [ids.to_list() for ids in pair] == expected

    module = tf.Module()
    signature = [tf.TensorSpec([None], "string")]
    for i, tokenizer in enumerate(tokenizers):
        setattr(module, f"tokenize_{i}", tf.function(tokenizer.tokenize, signature))
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    assert [f(texts).to_list() for f in (loaded.tokenize_0, loaded.tokenize_1)] == expected


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        pytest.param("multi30k", ("en", "de"), marks=pytest.mark.thorough),
        ("kor_eng", ("ko", "en")),
    ],
)
def test_real_text_round_trips(shared_folder, name, columns):
    texts = pairs(load(shared_folder(name), "train"), *columns)
    for column in texts:
        tokenizer = train_tokenizer(column)
        assert tokenizer.detokenize(tokenizer(column[:3000])) == as_kept(column[:3000])
