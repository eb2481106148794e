import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_seq.data import language_model, train_tokenizer

NAMES = [f"{a}{b}{c}" for a, b, c in itertools.product(("em", "oli", "a"), "bcdfgh", ("a", "yna"))]


def texts(*documents):
    return tf.data.Dataset.from_tensor_slices({"text": list(documents)})


def splits(documents=NAMES):
    return {name: texts(*documents) for name in ("train", "validation", "test")}


def letters(data, ids):
    return data.tokenizer.detokenize(np.asarray(ids))


def test_blocks_are_pieces_of_one_text_and_labels_the_tokens_after():
    text = "".join(map(chr, np.random.default_rng(0).integers(97, 123, size=2000)))
    data = language_model(texts(text), sequence_length=16, batch_size=4)
    assert {name: len(t[0]) for name, t in data.texts.items()} == {
        "train": 1800,
        "validation": 100,
        "test": 100,
    }
    assert "".join(data.texts[name][0] for name in ("train", "validation", "test")) == text
    passes = [[np.concatenate([x, y[:, -1:]], 1) for x, y in data.train] for _ in range(2)]
    for batches in passes:
        assert len(batches) == len(data.train) and batches[0].shape == (4, 17)
        for row in np.concatenate(batches):
            assert letters(data, row) in data.texts["train"][0]
        starts = [data.texts["train"][0].index(letters(data, r)) for r in np.concatenate(batches)]
        assert len(set(starts)) == len(starts)  # of this text every piece of 17 is another
        assert len({start % 16 for start in starts}) == 1
    assert not np.array_equal(passes[0][0], passes[1][0])
    held = np.concatenate([x for x, _ in data.validation])
    assert letters(data, held.ravel()) == data.texts["validation"][0][: held.size]
    assert data.dropped["validation"]["tokens"] == 100 - held.size - 1


def test_documents_are_joined_by_the_end():
    data = language_model(splits(), sequence_length=20, batch_size=2)
    rows = np.concatenate([x for x, _ in data.validation]).ravel()
    found = [letters(data, list(g)) for k, g in itertools.groupby(rows, lambda i: i == 3) if not k]
    assert found[:-1] == NAMES[: len(found) - 1] and len(found) > 20


def test_carried_chunks_follow_each_other_along_each_row():
    data = language_model(splits(), layout="carried", sequence_length=5, batch_size=3)
    inputs, labels = zip(*data.train, strict=True)
    tokens = np.concatenate([x["tokens"] for x in inputs], axis=1)
    reset = np.concatenate([x["reset"] for x in inputs], axis=1)
    labels = np.concatenate(labels, axis=1)
    same_document = ~reset[:, 1:]
    np.testing.assert_array_equal(labels[:, :-1][same_document], tokens[:, 1:][same_document])
    assert (labels[:, :-1][~same_document] == data.end_id).all()
    later = [x["tokens"].numpy() for x, _ in data.train.from_step(len(data.train) + 2).take(2)]
    np.testing.assert_array_equal(later[0], inputs[2]["tokens"])
    np.testing.assert_array_equal(later[1], inputs[3]["tokens"])


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 4},
        {"max_tokens": 40},
        {"max_tokens": 40, "static_shapes": True},
        {"batch_size": 4, "length_buckets": (5, 12)},
    ],
)
def test_documents_start_and_end_and_padding_has_no_weight(options):
    data = language_model(splits(), layout="documents", **options)
    found = []
    for split in (data.train, data.validation):
        for tokens, labels, weights in split:
            tokens, labels, weights = (np.asarray(a) for a in (tokens, labels, weights))
            assert (tokens[:, 0] == data.start_id).all()
            np.testing.assert_array_equal(weights, (labels != data.pad_id).astype("float32"))
            for x, y in zip(tokens, labels, strict=True):
                n = (y != 0).sum()
                assert y[n - 1] == data.end_id and (y[n:] == 0).all() and (x[n:] == 0).all()
                np.testing.assert_array_equal(x[1:n], y[: n - 1])
                found.append(letters(data, y[: n - 1]))
            if "max_tokens" in options:
                assert labels.size <= 40
    whole = len(NAMES) + sum(len(y) for _, y, _ in data.train)
    assert len(found) == whole and sorted(found[-len(NAMES) :]) == sorted(NAMES)


def test_packed_rows_hold_every_document_whole_or_cut():
    long = "abcdefgh" * 6
    data = language_model(splits([*NAMES, long]), layout="packed", sequence_length=16, batch_size=2)
    assert data.dropped["validation"] == {"empty": 0, "cut": 1}
    pieces = []
    for inputs, labels, weights in data.validation:
        labels = np.asarray(labels)
        tokens, reset = np.asarray(inputs["tokens"]), np.asarray(inputs["reset"])
        assert reset[:, 0].all()
        np.testing.assert_array_equal(weights, (labels != 0).astype("float32"))
        for x, r, y in zip(tokens, reset, labels, strict=True):
            begins = [*np.flatnonzero(r), 16]
            for begin, end in itertools.pairwise(begins):
                if y[begin] == 0:
                    assert (y[begin:] == 0).all() and end == 16
                    continue
                np.testing.assert_array_equal(x[begin + 1 : end], y[begin : end - 1])
                pieces.append((x[begin] == data.start_id, letters(data, y[begin:end])))
    assert sorted(text for starts, text in pieces if starts) == sorted([*NAMES, long[:16]])
    # The last of 48 letters is the input of a piece of its own, whose label is the end.
    assert sorted(text for starts, text in pieces if not starts) == ["", long[16:32], long[32:]]
    assert data.summaries["train"].padding < 0.1


def test_what_is_too_long_or_empty_is_left_out_and_counted():
    data = language_model(
        splits([*NAMES, "", "x" * 30]), layout="documents", sequence_length=12, batch_size=4
    )
    assert data.dropped["train"] == {"empty": 1, "too_long": 1}
    assert "dropped: 1 empty, 1 too long" in str(data)
    assert data.summaries["train"].examples == len(NAMES)


def test_the_vocabulary_is_that_of_the_train_split():
    held = texts("zzz", *NAMES)
    data = language_model(
        {"train": texts(*NAMES), "validation": held, "test": held}, layout="documents"
    )
    assert data.summaries["validation"].unknown > 0 == data.summaries["train"].unknown
    again = language_model(splits(), layout="documents", tokenizer=data.tokenizer)
    assert again.tokenizer is data.tokenizer
    description = data.describe()
    for part in ("batches", "padding", "unknown", "before: emba", "█", "vocabulary"):
        assert part in description


def test_files_of_lines_and_folders_of_files_are_read(tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(NAMES) + "\n\n", encoding="utf-8")
    data = language_model(tmp_path / "names.txt", layout="documents", batch_size=4)
    assert sum(len(t) for t in data.texts.values()) == len(NAMES)
    assert data.dropped["train"]["empty"] == 1
    for split in ("train", "validation", "test"):
        (tmp_path / "books" / split).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "books" / split / f"{i}.txt").write_text(f"{split} {i}\nof three")
    data = language_model(tmp_path / "books", sequence_length=8, batch_size=2)
    assert data.texts["test"] == [f"test {i}\nof three" for i in range(3)]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ValueError, match=r"must hold text: train.txt.*an empty folder"):
        language_model(tmp_path / "nothing")


def test_the_mark_at_the_beginning_of_a_file_is_no_text(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(f"line {i}" for i in range(50)), encoding="utf-8-sig")
    data = language_model(path, layout="documents", batch_size=2)
    assert {text[0] for texts in data.texts.values() for text in texts} == {"l"}


def test_a_picture_of_the_lengths(tmp_path):
    data = language_model(splits(), layout="documents", batch_size=4)
    assert "lengths.png" in data.describe(tmp_path / "lengths.png")
    assert (tmp_path / "lengths.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layout": "rows"}, ValueError, "`layout` must be one of 'blocks'"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be a positive int"),
        ({"max_tokens": 2.5}, TypeError, "`max_tokens`"),
        ({"max_tokens": 4, "layout": "documents"}, ValueError, "hold the longest example"),
        ({"max_tokens": 4, "sequence_length": 8}, ValueError, "hold the longest example"),
        ({"sequence_length": 1000}, ValueError, "number of training"),
        ({"text": "nothing"}, ValueError, r"`text` must be a column with text, of \['text'\]"),
        ({"errors": "ignore"}, ValueError, "`errors` must be 'raise' or 'skip'"),
        ({"tokenizer": 3}, TypeError, "`tokenizer` must be a tokenizer"),
        ({"seed": "a"}, TypeError, "`seed` must be an int. Received: 'a'"),
        ({"cache": None}, TypeError, "`cache` must be 'memory' or a folder. Received: None"),
        (
            {"tokenizer": train_tokenizer(["abc"], "character", add_end=True)},
            ValueError,
            "add_end=False",
        ),
    ],
)
def test_wrong_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        language_model(splits(), **options)


@pytest.mark.thorough  # the page of the documentation runs on slices of it
def test_real_text_becomes_batches(shared_folder):
    data = language_model("tiny_shakespeare", data_dir=shared_folder("tfds"))
    tokens, labels = next(iter(data.train))
    assert tokens.shape == labels.shape == (32, 128) and data.vocabulary_size == 69


def test_real_names_are_packed_with_little_padding(shared_folder):
    data = language_model(shared_folder("names") / "names.txt", layout="packed", sequence_length=64)
    assert data.summaries["train"].padding <= 0.05
