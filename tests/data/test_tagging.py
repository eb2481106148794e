import numpy as np
import pytest
import tensorflow as tf

from keras_seq.data import tagging, train_tokenizer

WORDS = ["the dog runs", "a cat sleeps", "dogs run", "cats"]
TAGS = ["article noun verb", "article noun verb", "noun verb", "noun"]


def rows(words=WORDS * 8, tags=TAGS * 8):
    return tf.data.Dataset.from_tensor_slices((words, tags))


def splits(*arguments, **more):
    return {name: rows(*arguments) for name in ("train", "validation", "test")} | more


def test_each_word_has_a_label_and_padding_no_weight():
    data = tagging(splits(), batch_size=4)
    assert data.class_names == ["article", "noun", "verb"]
    found = []
    for tokens, labels, weights in data.validation:
        np.testing.assert_array_equal(weights, tokens != data.pad_id)
        assert weights.dtype == tf.float32 and labels.dtype == tf.int64
        for x, y, w in zip(tokens.numpy(), labels.numpy(), weights.numpy() > 0, strict=True):
            words = data.tokenizer.detokenize(x[w])
            found.append((words, " ".join(data.class_names[label] for label in y[w])))
    assert sorted(found) == sorted(zip(WORDS * 8, TAGS * 8, strict=True))


def test_columns_of_words_and_class_numbers_are_taken():
    words = tf.ragged.constant([s.split() for s in WORDS] * 8)
    numbers = [[["article", "noun", "verb"].index(t) for t in s.split()] for s in TAGS]
    dataset = tf.data.Dataset.from_tensor_slices(
        {"tokens": words, "pos": tf.ragged.constant(numbers * 8), "id": list(range(32))}
    )
    given = {name: dataset for name in ("train", "validation", "test")}
    data = tagging(given, inputs="tokens", labels="pos", batch_size=4, length_buckets=(3,))
    tokens, labels, weights = next(iter(data.train))
    assert tokens.shape == labels.shape == weights.shape == (4, 3)
    assert data.class_names == ["0", "1", "2"] and data.columns == ("tokens", "pos")


def test_frames_of_numbers_are_tagged_too():
    frames = tf.ragged.constant([[[[1.0, 2.0]]], [[[3.0, 4.0]], [[5.0, 6.0]]]] * 20, ragged_rank=1)
    labels = tf.ragged.constant([[0], [1, 2]] * 20)
    dataset = tf.data.Dataset.from_tensor_slices((frames, labels))
    data = tagging(
        {name: dataset for name in ("train", "validation", "test")},
        batch_size=2,
        static_shapes=True,
    )
    x, y, w = next(iter(data.train))
    assert x.shape == (2, 2, 1, 2) and data.tokenizer is None and "frames" not in str(data)
    for row, label, weight in zip(x.numpy(), y.numpy(), w.numpy(), strict=True):
        first = row[0, 0, 0] == 1
        np.testing.assert_array_equal(weight, [1, 0] if first else [1, 1])
        np.testing.assert_array_equal(label, [0, 0] if first else [1, 2])


def test_pixels_of_frames_become_floats_up_to_one():
    frames = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 4, 1)).astype("uint8")
    labels = np.arange(60).reshape(20, 3)
    dataset = tf.data.Dataset.from_tensor_slices((frames, labels))
    data = tagging(dict.fromkeys(("train", "validation", "test"), dataset), batch_size=4)
    x, y, _ = next(iter(data.train))
    assert x.dtype == tf.float32
    np.testing.assert_allclose(x, frames[y[:, 0] // 3] / np.float32(255), atol=1e-6)


def test_what_does_not_fit_is_named_or_counted():
    odd = rows(["the dog", "a cat", ""], ["article", "article thing", ""])
    with pytest.raises(ValueError, match=r"Record 0 of split 'test' .* 2 steps and 1 labels"):
        tagging(splits(test=odd))
    with pytest.raises(ValueError, match="label 'thing'"):
        tagging(splits(test=odd.skip(1)))
    odd = odd.concatenate(rows(["a cat"], ["article noun"]))
    dropped = tagging(splits(test=odd), errors="skip").dropped["test"]
    assert dropped == {"unequal": 1, "unknown_label": 1, "empty": 1, "too_long": 0}
    data = tagging(splits(), sequence_length=2, batch_size=4)
    assert data.dropped["train"]["too_long"] == 16 and data.sequence_length == 2


def test_files_in_columns_are_read(tmp_path):
    lines = "The DT O\ndog NN B\n\n\nruns VB O\n\n"
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.txt").write_text(lines * 4)
    data = tagging(tmp_path, batch_size=2)
    assert data.class_names == ["B", "O"] and data.summaries["validation"].examples == 8
    (tmp_path / "validation.txt").write_text("word\n")
    with pytest.raises(ValueError, match="Line 1 of .* must have a word and its label"):
        tagging(tmp_path)
    (tmp_path / "validation.txt").write_bytes("grün ADJ\n".encode("latin-1"))
    with pytest.raises(ValueError, match="Line 1 of .*validation.txt' must be UTF-8"):
        tagging(tmp_path)
    (tmp_path / "validation.txt").write_text("\n\n")
    with pytest.raises(ValueError, match="validation.txt' must have a sentence"):
        tagging(tmp_path)
    with pytest.raises(ValueError, match="must be a folder of files of words .* a file"):
        tagging(tmp_path / "train.txt")


def test_series_that_are_not_finite_are_named_or_counted():
    x = np.random.default_rng(0).normal(size=(20, 3, 2))
    bad = x.copy()
    bad[4, 1] = np.inf
    labels = np.arange(60).reshape(20, 3) % 4

    def of(train):
        given = {"train": train, "validation": x, "test": x}
        return {s: tf.data.Dataset.from_tensor_slices((v, labels)) for s, v in given.items()}

    with pytest.raises(ValueError, match="Record 4 of split 'train' .* must have finite numbers"):
        tagging(of(bad), batch_size=4)
    dropped = tagging(of(bad), batch_size=4, errors="skip").dropped
    assert dropped["train"]["not_finite"] == 1 and dropped["test"]["not_finite"] == 0


def test_a_tokenizer_of_pieces_is_refused():
    with pytest.raises(ValueError, match="must give one id a word"):
        tagging(splits(), tokenizer=train_tokenizer(WORDS, "character"))
    words = train_tokenizer(WORDS, "word")
    assert tagging(splits(), tokenizer=words, batch_size=4).tokenizer is words
