"""Images in memory, or records that are read in each pass -> batches of a layout."""

import hashlib
import os

import numpy as np
import tensorflow as tf

from keras_seq.data._batch_plan import plan_batches
from keras_seq.data._pipeline import make_dataset
from keras_seq.data._streaming import copied, stream


def batches_in_memory(form, pixels, labels, batch_size, *, shuffle, seed):
    """Batches of images in memory.

    Args:
        form: of `form_of`.
        pixels: (N, H, W, C) array.
        labels: (N,) int32 array, or `None`.
        batch_size, shuffle, seed: as of `stream`.

    Returns:
        `(dataset, first)`: the pipeline, and the first image as a batch of one.
    """
    columns = [tf.constant(column) for column in (pixels, labels) if column is not None]

    def fill(rows, lengths, key):
        return form(*(tf.gather(column, rows) for column in columns))

    plan = plan_batches(
        np.ones((len(pixels), 1), "int64"), batch_size=batch_size, shapes=[(1,)], drop_last=shuffle
    )
    return make_dataset(plan, fill, shuffle=shuffle, seed=seed), fill(np.array([0]), None, None)


def streamed_batches(form, records, others, shape, path, count, batch_size, *, shuffle, seed):
    """Batches of images that are read anew in each pass.

    Args:
        form: of `form_of`.
        records: a `tf.data.Dataset` of dicts with `image` and perhaps a label.
        others: names of the columns besides the images.
        shape: `(H, W, C)`.
        path: where a copy of the records is kept, or `None`.
        count: number of records.
        batch_size, shuffle, seed: as of `stream`.

    Returns:
        As `batches_in_memory`.
    """
    records = records.map(lambda row: {**row, "image": tf.ensure_shape(row["image"], shape)})
    if path is not None:
        records = copied(records, path)

    def fill(row):
        return form(row["image"], *(tf.cast(row[name], "int32") for name in others))

    dataset = stream(records, fill, count, batch_size, shuffle=shuffle, seed=seed)
    return dataset, fill(next(iter(records.batch(1))))


def chosen_records(dataset, records):
    """The records of these numbers, in order."""
    keep = np.zeros(max(records) + 2, bool)
    keep[records] = True
    keep, last = tf.constant(keep), len(keep) - 1

    def is_chosen(number, row):
        return tf.gather(keep, tf.minimum(number, last))

    return dataset.enumerate().filter(is_chosen).map(lambda number, row: row)


def cache_path(folder, split, content):
    """Where a split's copy lies: another content has another name."""
    os.makedirs(folder, exist_ok=True)
    digest = hashlib.blake2b(digest_size=16)
    for item in content:
        digest.update(item if isinstance(item, bytes) else np.asarray(item).tobytes())
    return os.path.join(os.fspath(folder), f"{split}-{digest.hexdigest()}")
