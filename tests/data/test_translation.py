import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_seq.data import train_tokenizer, translation


def small(folder, **options):
    return translation(folder, **{"tokenizer": "character", "batch_size": 8, **options})


def rows(dataset):
    return [row for inputs, _, _ in dataset for row in inputs["source"].numpy().tolist()]


def test_dates_come_as_batches_of_one_shape(date_dir):
    data = translation(
        "date_translation", data_dir=date_dir, tokenizer="character", train_examples=6400
    )
    inputs, labels, weights = data.train.element_spec
    assert inputs["source"].shape == (64, data.source_length)
    assert inputs["target"].shape == labels.shape == weights.shape == (64, 16)
    assert len(data.train) == 100 and len(data.validation) == 32
    assert data.columns == ("source", "target") and len(data.texts["train"][0]) == 6400
    assert data.dropped["train"] == {"empty": 0, "too_long": 0}


def test_batches_hold_the_texts(write_folder):
    data = small(write_folder())
    inputs, labels, _ = next(iter(data.validation))
    sources, targets = data.texts["validation"]
    assert data.source_tokenizer.detokenize(inputs["source"].numpy()) == sources
    assert data.target_tokenizer.detokenize(inputs["target"].numpy()) == targets
    ids = list(data.target_tokenizer(targets[0]))
    np.testing.assert_array_equal(labels[0][: len(ids) + 1], [*ids, data.end_id])
    np.testing.assert_array_equal(inputs["target"][0][: len(ids) + 1], [data.start_id, *ids])
    assert data.source_length % 8 == 0 and data.target_length % 8 == 0


def test_train_is_shuffled_anew_each_pass_and_the_same_for_the_same_seed(write_folder):
    folder = write_folder()
    first, second, other = (small(folder, seed=seed).train for seed in (1, 1, 2))
    passes = [rows(first), rows(first)]
    assert passes[0] != passes[1] and sorted(passes[0]) == sorted(passes[1])
    assert [rows(second), rows(second)] == passes
    assert rows(other) != passes[0]


def test_pairs_too_long_are_dropped_and_counted_but_stay_in_texts(write_folder):
    # "ein kleiner Hund 7 läuft" has 24 characters and an end id, one more with two digits.
    data = small(write_folder(), source_length=25)
    assert data.dropped["train"] == {"empty": 0, "too_long": 30}
    assert len(data.train) == 10 // 8
    assert len(data.texts["train"][0]) == 40


def test_empty_lines_are_dropped_and_counted(write_folder):
    pairs = ([f"a{i}" for i in range(8)] + ["", "b"], [f"c{i}" for i in range(8)] + ["d", " "])
    data = small(write_folder({"train": pairs, "validation": pairs, "test": pairs}), batch_size=2)
    assert data.dropped["train"] == {"empty": 2, "too_long": 0}
    assert len(data.texts["test"][0]) == 8 and "2 empty" in str(data)


def test_missing_splits_are_held_out_of_train(write_folder):
    texts = ([f"Hund {i}" for i in range(200)], [f"dog {i}" for i in range(200)])
    data = small(write_folder({"train": texts}))
    sources = {name: set(columns[0]) for name, columns in data.texts.items()}
    assert {name: len(split) for name, split in sources.items()} == {
        "train": 192,
        "validation": 4,
        "test": 4,
    }
    assert not any(a & b for a, b in itertools.combinations(sources.values(), 2))


def test_buckets_bound_the_shapes(write_folder, some_dates):
    data = small(write_folder(some_dates), length_buckets=(16, 24, 40))
    found = {(inputs["source"].shape[1], labels.shape[1]) for inputs, labels, _ in data.validation}
    assert found == set(data.shapes) == {(16, 16), (24, 16), (40, 16)}
    assert sum(len(labels) for _, labels, _ in data.validation) == 1000
    assert "16 x 16, 24 x 16, 40 x 16" in str(data)


def test_a_token_budget_wastes_little_and_static_shapes_are_few(write_folder, some_dates):
    folder = write_folder(some_dates)
    data = small(folder, batch_size=None, max_tokens=640)
    assert data.shapes is None and data.summaries["train"].padding < 0.05
    found = 0
    for inputs, labels, weights in data.train:
        assert labels.shape[0] * max(inputs["source"].shape[1], labels.shape[1]) <= 640
        np.testing.assert_array_equal(weights, labels != 0)
        found += labels.shape[0]
    assert found == 1000 and len(data.train) == data.summaries["train"].batches

    data = small(folder, batch_size=None, max_tokens=640, static_shapes=True)
    shapes = {(i["source"].shape, y.shape) for i, y, _ in data.train}
    assert len(shapes) <= len(data.shapes) <= 8
    assert all(s[0] == 640 // max(s[1], t[1]) for s, t in shapes)
    with pytest.raises(ValueError, match="`max_tokens` must hold the longest example"):
        small(folder, max_tokens=16)


def test_datasets_of_the_users_own_are_taken(write_folder):
    rows = [("ein Hund", "a dog"), ("", "x"), ("zwei Hunde", "two dogs"), ("drei", "three")] * 8
    dataset = tf.data.Dataset.from_tensor_slices(tuple(map(list, zip(*rows, strict=True))))
    data = small({"train": dataset, "validation": dataset, "test": dataset})
    assert data.dropped["train"] == {"empty": 8, "too_long": 0} and len(data.train) == 3
    assert data.texts["train"][0][0] == "ein Hund" and data.columns == ("input", "target")
    named = dataset.map(lambda x, y: {"de": x, "en": y})
    assert small(named, source="de").columns == ("de", "en")


def test_the_summary_names_what_one_wants_to_know(write_folder):
    text = str(small(write_folder()))
    for part in ("parallel, de -> en", "train       40 pairs", "vocabulary", "lengths"):
        assert part in text


def test_given_tokenizers_are_used(write_folder):
    folder = write_folder()
    first = small(folder)
    again = small(
        folder,
        source_tokenizer=first.source_tokenizer,
        target_tokenizer=first.target_tokenizer,
    )
    assert again.source_tokenizer is first.source_tokenizer
    no_end = train_tokenizer(["abc"], "character")
    with pytest.raises(ValueError, match="`source_tokenizer` .*add_end=True"):
        small(folder, source_tokenizer=no_end)
    with pytest.raises(TypeError, match="`target_tokenizer` .*Received: str"):
        small(folder, target_tokenizer="abc")


def test_both_sides_may_share_the_tokens_of_both(write_folder):
    data = small(write_folder(), share_vocabulary=True)
    assert data.source_tokenizer.get_vocabulary() == data.target_tokenizer.get_vocabulary()
    sources, targets = data.texts["train"]
    ids = data.target_tokenizer([sources[0], targets[0]])
    assert 1 not in [token for row in ids for token in row]  # none is unknown
    ends = data.source_tokenizer([sources[0], targets[0]])
    assert [row[:-1] for row in ends] == list(ids) and all(row[-1] == 3 for row in ends)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "`batch_size` must be a positive int. Received: 0"),
        ({"batch_size": 2.5}, TypeError, "batch_size"),
        ({"batch_size": 41}, ValueError, "`batch_size` must be at most 40"),
        ({"source": "de", "target": "de"}, ValueError, "another column"),
        ({"source": "fr"}, ValueError, r"\['de', 'en'\]. Received: 'fr'"),
        ({"tokenizer": "words"}, ValueError, "`tokenizer` .*'words'"),
        ({"length_buckets": (16, 8)}, ValueError, "rising lengths"),
        ({"target_length": -1}, ValueError, "target_length"),
    ],
)
def test_wrong_arguments_are_refused(write_folder, options, error, message):
    with pytest.raises(error, match=message):
        small(write_folder(), **options)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        pytest.param("multi30k", ("en", "de"), marks=pytest.mark.thorough),
        ("kor_eng", ("ko", "en")),
    ],
)
def test_real_parallel_text_becomes_batches(shared_folder, name, columns):
    data = translation(
        shared_folder(name), source=columns[0], target=columns[1], length_buckets=(16, 32, 64)
    )
    inputs, labels, weights = next(iter(data.train))
    assert inputs["source"].shape[1] in (16, 32, 64) and labels.shape == weights.shape
    counts = {n: len(s) for n, (s, _) in data.texts.items()}
    assert set(counts) == {"train", "validation", "test"} and min(counts.values()) > 100
