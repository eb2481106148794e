"""A plan of batches and what fills one -> a `tf.data.Dataset` for `fit`.

Orders are a function of the seed and the number of the pass, so a pipeline can begin at any batch.
TensorFlow's autotuning is off: its thread sleeps up to a minute at a time, and `fit` may wait for
the last sleep before it returns. What it would find out is fixed here.
"""

import os

import numpy as np
import tensorflow as tf

ENDLESS = np.iinfo("int64").max
WORKERS = min(4, os.cpu_count() or 1)  # batches filled at a time
PREFETCH = 4  # batches that wait for `fit`


def make_dataset(plan, fill, *, shuffle=False, seed=0):
    """Batches in the order of a plan, or in another order each pass.

    Args:
        plan: a `BatchPlan`.
        fill: function from `rows`, (n,) int64 row numbers, `lengths`, (C,) int64, and `key`, two
            int64 that are others in each pass, to the tensors of a batch. It is traced by tf.data.
        shuffle: whether each pass has an order of its own, of rows and of batches.
        seed: int; which orders.

    Returns:
        A `tf.data.Dataset` of known cardinality. Its `from_step(step, passes=None)` begins at a
        batch of passes 0, 1, 2, ... end to end, and ends after `passes`, or never. What it gives
        depends on `step` alone, and getting there costs nothing. tf.data service divides it among
        workers by passes.
    """
    epoch = _epoch_of(plan, fill, shuffle, seed)

    def from_step(step, passes=None):
        first, batch = divmod(int(step), max(len(plan), 1))
        numbers = tf.data.Dataset.range(first, ENDLESS if passes is None else passes)
        return finish(
            numbers.flat_map(lambda number: epoch(number, tf.where(number == first, batch, 0)))
        )

    passes = tf.data.Dataset.range(1)
    if shuffle:  # another number in each pass, the same ones in every process
        passes = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)
    dataset = passes.flat_map(lambda number: epoch(number, 0))
    dataset = finish(dataset.apply(tf.data.experimental.assert_cardinality(len(plan))))
    dataset.from_step = from_step
    return dataset


def _epoch_of(plan, fill, shuffle, seed):
    """Function from the number of a pass and its first batch to the dataset of its batches."""
    count = len(plan.key)
    is_sorted = bool(np.all(plan.key[1:] == plan.key[:-1]))
    sort_key = tf.constant(plan.key.astype("int32"))
    starts, sizes = tf.constant(plan.starts), tf.constant(plan.sizes)
    lengths = tf.constant(plan.lengths)
    fixed = [plan.length(c) for c in range(plan.lengths.shape[1])]

    def epoch(number, first):
        key = tf.stack([tf.cast(number, "int64"), tf.constant(seed, "int64")])
        batches = tf.range(len(plan), dtype="int64")
        rows = tf.range(count, dtype="int64")
        if shuffle:
            shuffled = tf.random.experimental.stateless_shuffle
            rows, batches = shuffled(rows, seed=key), shuffled(batches, seed=key + 1)
        if not is_sorted:
            rows = tf.gather(rows, tf.argsort(tf.gather(sort_key, rows), stable=True))

        def batch(k):
            start = starts[k]
            chosen = rows[start : start + sizes[k]]
            chosen = tf.ensure_shape(chosen, (plan.rows,))
            return fill(chosen, _known(lengths[k], fixed), key)

        dataset = tf.data.Dataset.from_tensor_slices(batches[first:])
        return dataset.map(batch, num_parallel_calls=WORKERS, deterministic=True)

    return epoch


def _known(lengths, fixed):
    """The lengths one by one, those that never differ as ints."""
    return [lengths[c] if known is None else known for c, known in enumerate(fixed)]


def finish(dataset):
    """Prefetch, in a deterministic order, without autotuning."""
    options = tf.data.Options()
    options.deterministic = True
    return without_autotuning(dataset.prefetch(PREFETCH)).with_options(options)


def without_autotuning(dataset):
    """The dataset, of which no thread is waited for, and no buffer grows."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
