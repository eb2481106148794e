"""What holds for the pipelines of every task."""

import numpy as np
import pytest
import tensorflow as tf

from keras_seq import data as ks_data

TEXTS = [f"a text with the number {i}" for i in range(40)]
RNG = np.random.default_rng(0)


def of(*columns):
    rows = tf.data.Dataset.from_tensor_slices(columns[0] if len(columns) == 1 else columns)
    return {split: rows for split in ("train", "validation", "test")}


def language_model(layout):
    texts = of({"text": TEXTS})
    return ks_data.language_model(texts, layout=layout, sequence_length=32, batch_size=4)


PIXELS = RNG.integers(0, 256, (40, 8, 8, 1)).astype("uint8")
TASKS = {
    "translation": lambda: ks_data.translation(
        of(TEXTS, TEXTS), tokenizer="character", max_tokens=200
    ),
    "blocks": lambda: language_model("blocks"),
    "carried": lambda: language_model("carried"),
    "documents": lambda: language_model("documents"),
    "packed": lambda: language_model("packed"),
    "classification": lambda: ks_data.classification(
        of(TEXTS, [i % 2 for i in range(40)]), tokenizer="character", batch_size=4
    ),
    "tagging": lambda: ks_data.tagging(of(TEXTS, ["a n p a n c"] * 40), batch_size=4),
    "series": lambda: ks_data.series(RNG.normal(size=(200, 3)), past=8, future=2, batch_size=4),
    "images": lambda: ks_data.images(of(PIXELS, [i % 4 for i in range(40)]), batch_size=4),
    "streamed": lambda: ks_data.images(
        of(PIXELS, [i % 4 for i in range(40)]), batch_size=4, cache=None
    ),
    "captions": lambda: ks_data.captions(of(PIXELS, TEXTS), tokenizer="character", batch_size=4),
}


@pytest.fixture(scope="module")
def made():
    return {name: make() for name, make in TASKS.items()}


@pytest.mark.parametrize("name", TASKS)
def test_no_thread_of_tf_data_is_waited_for(made, name):
    data = made[name]
    pipelines = [data.train, data.validation, data.test, data.train.from_step(2)]
    assert sum(d.options().autotune.enabled is False for d in pipelines) == 4
    assert sum(d.options().deterministic is True for d in pipelines) == 4


@pytest.mark.parametrize("name", TASKS)
def test_any_step_can_be_the_first(made, name):
    train = made[name].train
    steps = len(train) + 2
    whole = list(train.from_step(0).take(steps))
    later = list(train.from_step(steps - 2).take(2))
    for one, other in zip(whole[-2:], later, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("name", TASKS)
def test_a_description_counts_what_there_is(made, name):
    data = made[name]
    assert sum(1 for _ in data.train) == len(data.train) == data.summaries["train"].batches
    text = data.describe()
    for part in ("train", "validation", "test", "batches", "before:", "after:"):
        assert part in text


@pytest.mark.parametrize(
    "task", [ks_data.captions, ks_data.classification, ks_data.language_model, ks_data.translation]
)
def test_an_unknown_kind_of_tokenizer_is_refused_before_any_data_are_read(task):
    with pytest.raises(ValueError, match="`tokenizer` must be one of .*'letters'"):
        task("no_such_dataset", tokenizer="letters")
