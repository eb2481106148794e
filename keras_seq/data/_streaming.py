"""Batches of what does not fit into memory: records in a row, shuffled within a window."""

import os
import shutil
import uuid

import tensorflow as tf

from keras_seq.data._pipeline import ENDLESS, WORKERS, finish

_WINDOW_BYTES = 256 * 2**20  # of what is shuffled at a time
_MOST_RECORDS = 10_000


def stream(records, fill, count, batch_size, *, shuffle=False, seed=0):
    """Batches of a dataset in its order, or shuffled within a window.

    Args:
        records: a `tf.data.Dataset` of one record an element.
        fill: function from a batch of records to what `fit` gets.
        count: number of records.
        batch_size: rows of a batch.
        shuffle: whether each pass has an order of its own, and batches are full.
        seed: int; which orders.

    Returns:
        A `tf.data.Dataset` of known cardinality. Its `from_step` is as in `make_dataset`, but reads
        what it leaves out of the first pass.
    """
    batches = count // batch_size if shuffle else -(-count // batch_size)
    sizes = [
        s.shape.num_elements() * s.dtype.size
        for s in tf.nest.flatten(records.element_spec)
        if s.shape.is_fully_defined()
    ]
    window = max(batch_size, min(_MOST_RECORDS, _WINDOW_BYTES // max(sum(sizes), 1)))

    def epoch(number, first):
        if shuffle:
            key = tf.stack([number, tf.constant(seed, "int64")])
            windows = records.batch(window).enumerate()
            rows = windows.map(lambda k, rows: _shuffled(rows, key + k))
            rows = rows.rebatch(batch_size, drop_remainder=True)
        else:
            rows = records.batch(batch_size)
        rows = rows.skip(tf.cast(first, "int64"))
        return rows.map(fill, num_parallel_calls=WORKERS, deterministic=True)

    def from_step(step, passes=None):
        start, batch = divmod(int(step), max(batches, 1))
        numbers = tf.data.Dataset.range(start, ENDLESS if passes is None else passes)
        return finish(
            numbers.flat_map(lambda number: epoch(number, tf.where(number == start, batch, 0)))
        )

    passes = tf.data.Dataset.range(1)
    if shuffle:
        passes = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)
    dataset = passes.flat_map(lambda number: epoch(number, 0))
    dataset = finish(dataset.apply(tf.data.experimental.assert_cardinality(batches)))
    dataset.from_step = from_step
    return dataset


def _shuffled(rows, key):
    # Not `Dataset.shuffle`, whose order depends on the global seed, and not on a tensor.
    count = tf.shape(tf.nest.flatten(rows)[0])[0]
    order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=key)
    return tf.nest.map_structure(lambda column: tf.gather(column, order), rows)


def copied(records, path):
    """A copy of a dataset on disk, made where there is none.

    Args:
        records: a `tf.data.Dataset`.
        path: of the copy, a folder. It is there whole or not at all.

    Returns:
        A `tf.data.Dataset` of the same records in the same order.
    """
    if not os.path.isdir(path):
        unfinished = f"{path}.{uuid.uuid4().hex}"
        try:
            records.save(unfinished)
            os.replace(unfinished, path)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return tf.data.Dataset.load(
        path, reader_func=lambda shards: shards.interleave(lambda shard: shard, cycle_length=1)
    )
