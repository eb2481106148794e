"""Pipelines that several workers share: tf.data service, shards."""

import collections

import pytest
import tensorflow as tf

from keras_seq.data import language_model

NAMES = [f"{a}{b}{c}" for a in ("em", "oli", "a", "u") for b in "bcdfgh" for c in ("a", "yna", "o")]


@pytest.fixture(scope="module")
def data():
    names = tf.data.Dataset.from_tensor_slices({"text": NAMES})
    splits = {split: names for split in ("train", "validation", "test")}
    return language_model(splits, layout="documents", max_tokens=40)


@pytest.fixture(scope="module")
def dispatcher():
    """A dispatcher of tf.data service with two workers, in this process."""
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=0))
    address = dispatcher.target.split("://")[1]
    workers = [
        service.WorkerServer(service.WorkerConfig(address, heartbeat_interval_ms=50))
        for _ in range(2)
    ]
    yield dispatcher
    for worker in workers:
        worker._stop()
    dispatcher._stop()


def names_of(data, dataset):
    found = collections.Counter()
    for _, labels, weights in dataset:
        labels, lengths = labels.numpy(), weights.numpy().sum(axis=1).astype(int)
        found.update(
            data.tokenizer.detokenize(row[: n - 1]) for row, n in zip(labels, lengths, strict=True)
        )
    return found


def through(dispatcher, dataset, mode):
    service = tf.data.experimental.service
    return dataset.apply(service.distribute(processing_mode=mode, service=dispatcher.target))


def test_workers_of_a_service_divide_the_passes(data, dispatcher):
    three = through(dispatcher, data.train.from_step(0, passes=3), "distributed_epoch")
    assert names_of(data, three) == dict.fromkeys(NAMES, 3)
    # Each of two workers goes over all of it.
    whole = through(dispatcher, data.validation, "parallel_epochs")
    assert names_of(data, whole) == dict.fromkeys(NAMES, 2)


def test_token_files_go_through_a_service_on_this_machine(dispatcher, tmp_path):
    names = tf.data.Dataset.from_tensor_slices({"text": NAMES})
    splits = {split: names for split in ("train", "validation", "test")}
    options = {"layout": "documents", "max_tokens": 40, "cache": tmp_path / "ids"}
    data = language_model(splits, **options)
    two = through(dispatcher, data.train.from_step(0, passes=2), "distributed_epoch")
    assert names_of(data, two) == dict.fromkeys(NAMES, 2)


def test_shards_are_disjoint_and_complete(data):
    passes = data.train.from_step(0, passes=1)
    shards = [names_of(data, passes.shard(3, i)) for i in range(3)]
    assert sum(shards, collections.Counter()) == dict.fromkeys(NAMES, 1)
