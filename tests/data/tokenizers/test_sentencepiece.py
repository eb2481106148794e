import keras
import keras_hub
import pytest
import tensorflow as tf

from keras_seq.data import load, pairs, train_tokenizer

TEXTS = [
    "아침 햇살이 창문에 비친다",
    "3. März 2021",
    "2021年3月3日(水)",
    "  two  leading spaces",
    "trailing ",
    "full-width Ａ and ½ …",
    "Straße ΣΑΣ ÉCOLE",
    "tab\there",
]
KINDS = ("subword", "character")


def as_kept(texts, kind):
    """KerasHub before 0.26, the last for Python 3.10, loses a subword text's leading spaces."""
    version = tuple(map(int, keras_hub.__version__.split(".")[:2]))
    return [t.lstrip(" ") for t in texts] if version < (0, 26) and kind == "subword" else texts


@pytest.mark.parametrize("kind", KINDS)
def test_texts_round_trip(kind):
    tokenizer = train_tokenizer(TEXTS, kind)
    assert tokenizer.detokenize(tokenizer(TEXTS)) == as_kept(TEXTS, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_special_ids_are_fixed_and_the_end_is_added_when_asked(kind):
    tokenizer = train_tokenizer(TEXTS, kind, add_end=True)
    assert [tokenizer.id_to_token(i) for i in range(4)] == ["<pad>", "<unk>", "<s>", "</s>"]
    plain = train_tokenizer(TEXTS, kind)
    assert list(tokenizer("März")) == [*plain("März"), 3]


@pytest.mark.parametrize("kind", KINDS)
def test_detokenize_leaves_out_padding_start_and_end_but_goes_on_after_it(kind):
    tokenizer = train_tokenizer(TEXTS, kind)
    ids = [int(i) for i in tokenizer("März")]
    assert tokenizer.detokenize([[2, *ids, 3, 0, 0]]) == ["März"]
    assert tokenizer.detokenize([[2, *ids, 3, *ids]])[0].replace(" ", "") == "MärzMärz"


@pytest.mark.parametrize("kind", KINDS)
def test_it_works_inside_tf_data(kind):
    tokenizer = train_tokenizer(TEXTS, kind)
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(3).map(tokenizer)
    ids = [row for batch in dataset for row in batch.to_list()]
    assert ids == [list(row) for row in tokenizer(TEXTS)]
    assert next(iter(dataset)).dtype == tf.int32


def test_the_same_texts_give_the_same_tokenizer():
    for kind in KINDS:
        for lowercase in (False, True):
            first, second = (train_tokenizer(TEXTS, kind, lowercase=lowercase) for _ in "ab")
            assert first.proto == second.proto


def test_the_count_of_characters_decides_the_size_of_a_character_tokenizer():
    tokenizer = train_tokenizer(["abc", "a b"], "character")
    assert tokenizer.vocabulary_size() == 4 + len("abc ")


def test_a_small_corpus_gives_a_small_vocabulary():
    assert train_tokenizer(["a b"], "subword", vocabulary_size=8000).vocabulary_size() < 20


def test_lowercase_is_part_of_the_tokenizer_and_keeps_the_sharp_s():
    for kind in KINDS:
        tokenizer = train_tokenizer(TEXTS, kind, lowercase=True)
        assert tokenizer.detokenize(tokenizer(["STRAßE École"])) == ["straße école"]
        lower = ["".join(c.lower() for c in text) for text in TEXTS]
        assert tokenizer.detokenize(tokenizer(TEXTS)) == as_kept(lower, kind)


def test_long_texts_count_too():
    tokenizer = train_tokenizer(["a" * 10_000 + "ß", "b"], "character")
    assert 1 not in tokenizer("ß")


def test_an_unseen_character_is_the_unknown_id():
    assert 1 in train_tokenizer(["abc"], "character")("abx")


def test_training_and_use_are_quiet(capfd):
    for kind in KINDS:
        tokenizer = train_tokenizer(TEXTS, kind, add_end=True)
        tokenizer.detokenize(tokenizer(TEXTS))
    assert capfd.readouterr() == ("", "")


def test_it_survives_saving_in_a_keras_file(tmp_path):
    tokenizer = train_tokenizer(TEXTS, "subword", add_end=True)
    model = keras.Sequential([keras.Input((), dtype="string"), tokenizer])
    model.save(tmp_path / "tokenizer.keras")
    again = keras.saving.load_model(tmp_path / "tokenizer.keras").layers[-1]
    assert [list(row) for row in again(TEXTS)] == [list(row) for row in tokenizer(TEXTS)]


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="at least 8 .*4 distinct characters.*Received: 5"):
        train_tokenizer(["abc"], vocabulary_size=5)
    with pytest.raises(ValueError, match="`kind` .*'words'"):
        train_tokenizer(["abc"], "words")
    with pytest.raises(ValueError, match="not empty"):
        train_tokenizer([""])
    with pytest.raises(TypeError, match="Put it in a list"):
        train_tokenizer("abc")
    with pytest.raises(TypeError, match="bytes at position 1"):
        train_tokenizer(["abc", b"abc"])


@pytest.mark.parametrize(
    ("name", "columns"), [("multi30k", ("en", "de")), ("kor_eng", ("ko", "en"))]
)
def test_real_text_round_trips(shared_folder, name, columns):
    texts = pairs(load(shared_folder(name), "train"), *columns)
    for column in texts:
        tokenizer = train_tokenizer(column)
        assert tokenizer.detokenize(tokenizer(column[:3000])) == as_kept(column[:3000], "subword")
