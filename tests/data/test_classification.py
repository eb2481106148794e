import numpy as np
import pytest
import tensorflow as tf

from keras_seq.data import classification

GOOD, BAD = ["a fine film", "fine, fine", "good"], ["dull and long", "how dull"]
ROWS = ([*GOOD, *BAD] * 8, ["good"] * 3 + ["bad"] * 2)


def rows(texts=ROWS[0], labels=ROWS[1] * 8):
    return tf.data.Dataset.from_tensor_slices((texts, labels))


def splits(*arguments, **more):
    return {name: rows(*arguments) for name in ("train", "validation", "test")} | more


def small(dataset, **options):
    return classification(dataset, **{"tokenizer": "character", "batch_size": 4, **options})


def test_texts_come_padded_with_their_labels():
    data = small(splits())
    assert data.class_names == ["bad", "good"] and data.sequence_length == 13
    found = []
    for tokens, labels in data.validation:
        texts = data.tokenizer.detokenize(tokens.numpy())
        found += zip(texts, labels.numpy().tolist(), strict=True)
        assert tokens.dtype == tf.int32 and tokens.shape[1] <= 13
    assert sorted(found) == sorted([(t, int(t in GOOD)) for t in ROWS[0]])
    assert "2: bad, good" in str(data) and "13 at most" in str(data)


@pytest.mark.parametrize(
    ("too_long", "kept"), [("drop", None), ("keep_first", "dull and"), ("keep_last", "and long")]
)
def test_what_is_too_long_is_dropped_or_cut_and_counted(too_long, kept):
    data = small(splits(), sequence_length=8, too_long=too_long)
    texts = [t for x, _ in data.validation for t in data.tokenizer.detokenize(x.numpy())]
    if kept is None:
        assert data.dropped["train"]["too_long"] == 24 and set(texts) == {"good", "how dull"}
    else:
        assert data.dropped["train"]["cut"] == 24 and kept in texts and len(texts) == 40


def test_series_of_numbers_are_classified_too():
    series = tf.ragged.constant([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]] * 40, ragged_rank=1)
    dataset = tf.data.Dataset.from_tensor_slices((series, [0, 1] * 40))
    data = small({name: dataset for name in ("train", "validation", "test")}, length_buckets=(2,))
    x, y = next(iter(data.train))
    assert x.shape == (4, 2, 2) and x.dtype == tf.float32 and data.tokenizer is None
    for row, label in zip(x.numpy(), y.numpy(), strict=True):
        np.testing.assert_array_equal(row, [[[1, 2], [0, 0]], [[3, 4], [5, 6]]][label])


def test_series_that_are_not_finite_are_named_or_counted():
    x = np.random.default_rng(0).normal(size=(40, 5)).astype("float32")
    bad = x.copy()
    bad[7, 3] = np.nan
    labels = ROWS[1] * 8
    with pytest.raises(ValueError, match="Record 7 of split 'test' .* must have finite numbers"):
        small({"train": rows(x, labels), "test": rows(bad, labels)})
    data = small({"train": rows(x, labels), "test": rows(bad, labels)}, errors="skip")
    assert data.dropped["test"]["not_finite"] == 1 and data.summaries["test"].examples == 39


def test_labels_that_are_no_class_are_named_or_counted():
    bad = rows(["fine", "odd"], ["good", "strange"])
    with pytest.raises(ValueError, match=r"Record 1 of split 'test' .* label 'strange'"):
        small(splits(test=bad))
    data = small(splits(test=bad), errors="skip")
    assert data.dropped["test"]["unknown_label"] == 1 and data.summaries["test"].examples == 1
    numbers = rows(ROWS[0], [0, 1, 2, 1, 0] * 8)
    with pytest.raises(ValueError, match=r"Record 0 .* label '3' .* none of the 3 classes"):
        small({"train": numbers, "test": rows(["fine"], [3])})
    with pytest.raises(ValueError, match="label '-1'"):
        small({"train": numbers, "test": rows(["fine"], [-1])})


def test_the_vocabulary_and_classes_are_those_of_the_train_split():
    one, other = small(splits()), small(splits(test=rows(["zzz"], ["good"])))
    assert one.vocabulary_size == other.vocabulary_size
    assert other.summaries["test"].unknown == 1.0


def test_folders_of_classes_are_read(tmp_path):
    for split in ("train", "test"):
        for i, (text, label) in enumerate(zip(*ROWS, strict=False)):
            folder = tmp_path / "reviews" / split / label
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{i}.txt").write_text(text)
    data = small(tmp_path / "reviews", batch_size=2)
    assert data.class_names == ["bad", "good"] and len(data.texts["test"]) == 5
    assert sorted(data.texts["train"] + data.texts["validation"]) == sorted([*GOOD, *BAD])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="a folder of text files"):
        small(tmp_path / "empty")


def test_equal_texts_are_not_torn_apart_by_holding_out():
    texts = [f"text {i % 100}" for i in range(400)]
    data = small(rows(texts, ["a", "b"] * 200))
    assert not set(data.texts["train"]) & set(data.texts["test"])
    assert sum(map(len, data.texts.values())) == 400


def test_invalid_text_is_named_or_counted():
    bad = tf.data.Dataset.from_tensor_slices(([b"fine", b"\xff\xfe", b""], ["good"] * 3))
    with pytest.raises(ValueError, match=r"Record 1 of split 'test' .* no UTF-8"):
        small(splits(test=bad))
    dropped = small(splits(test=bad), errors="skip").dropped["test"]
    assert dropped == {"not_utf8": 1, "unknown_label": 0, "empty": 1, "too_long": 0}
    with pytest.raises(ValueError, match="The split 'test' .* no examples"):
        small(splits(test=rows().take(0)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": "label"}, "`inputs` must be a column with a text or a series"),
        ({"label": "x"}, r"`label` must be a column with a class"),
        ({"too_long": "cut"}, "`too_long` must be one of"),
        ({"batch_size": 41}, "`batch_size` must be at most 40"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        small(splits(), **options)


@pytest.mark.thorough  # the page of the documentation runs on slices of it
def test_real_reviews_become_batches(shared_folder):
    data = classification(
        "imdb_reviews",
        data_dir=shared_folder("tfds"),
        sequence_length=200,
        too_long="keep_last",
        max_tokens=4096,
        train_examples=500,
    )
    tokens, labels = next(iter(data.train))
    assert tokens.shape[0] * tokens.shape[1] <= 4096 and data.class_names == ["neg", "pos"]
    assert set(labels.numpy()) <= {0, 1}
