"""Tokenized pairs in memory -> batches of a few fixed shapes."""

import numpy as np
import tensorflow as tf

from keras_seq.data.tokenizers import END_ID, PAD_ID, START_ID


def make_batches(
    sources, targets, shapes, batch_size, *, shuffle=False, seed=0, drop_remainder=False
):
    """Batches tokenized pairs for teacher forcing, each batch padded to one of a few shapes.

    Each shape is compiled once under XLA, so there are few of them and batches are never padded
    to their own longest row. A pair goes to the first shape that holds it.

    Args:
        sources: `tf.RaggedTensor` of int32, (N, S): pieces and the end id.
        targets: `tf.RaggedTensor` of int32, (N, T): pieces alone; the start or end id is added.
        shapes: List of `(S, T)`, rising in both; the last one must hold every pair.
        batch_size: Pairs a batch.
        shuffle: Whether each pass goes over the pairs in another order.
        seed: Seed of the order.
        drop_remainder: Whether a last batch of fewer pairs is left out.

    Returns:
        A `tf.data.Dataset` of `({"source": (B, S), "target": (B, T)}, labels (B, T),
        sample_weight (B, T))`, int32 but for the float32 weights, which are 1 where there is
        a label and 0 where there is padding. Its cardinality is known.

    Example:

    ```python
    import tensorflow as tf
    from keras_seq.data._batching import make_batches

    ids = tf.ragged.constant([[5, 6, 3], [7, 3]], dtype="int32")
    inputs, labels, weights = next(iter(make_batches(ids, ids[:, :-1], [(8, 8)], 2)))
    assert inputs["source"].shape == (2, 8) and labels[1, 0] == 7 and labels[1, 1] == 3
    ```
    """
    which = choose_shapes(sources.row_lengths(), targets.row_lengths() + 1, shapes)
    which = which.astype("int32")
    counts = np.bincount(which, minlength=len(shapes))
    rows = tf.data.Dataset.from_tensor_slices(np.arange(len(which)))
    if shuffle:
        rows = rows.shuffle(max(len(which), 1), seed=seed, reshuffle_each_iteration=True)

    # Batches of row numbers are cheap to shuffle and to group; the rows follow batch by batch.
    if len(shapes) == 1:
        batch_shape = shapes[0]
        rows = rows.batch(batch_size, drop_remainder=drop_remainder)
    else:
        batch_shape = None
        which = tf.constant(which)
        rows = rows.bucket_by_sequence_length(
            element_length_func=lambda row: tf.gather(which, row),
            bucket_boundaries=list(range(1, len(shapes))),
            bucket_batch_sizes=[batch_size] * len(shapes),
            no_padding=True,
            drop_remainder=drop_remainder,
        )

    def pad(ids, length):
        if batch_shape is not None:
            return ids.to_tensor(PAD_ID, shape=(ids.shape[0], length))
        return ids.to_tensor(PAD_ID, shape=tf.stack([-1, length]))  # known when it runs

    def fill(row):
        if batch_shape is None:
            source_length, target_length = tf.unstack(tf.gather(shapes, which[row[0]]))
        else:
            source_length, target_length = batch_shape
        source = pad(tf.gather(sources, row), source_length)
        pieces = tf.gather(targets, row)
        edge = tf.ones_like(row, dtype="int32")[:, None]
        target = pad(tf.concat([START_ID * edge, pieces], axis=1), target_length)
        labels = pad(tf.concat([pieces, END_ID * edge], axis=1), target_length)
        if batch_shape is not None:
            source = tf.ensure_shape(source, (row.shape[0], source_length))
        weights = tf.cast(labels != PAD_ID, "float32")
        return {"source": source, "target": target}, labels, weights

    batches = counts // batch_size if drop_remainder else -(-counts // batch_size)
    dataset = rows.map(fill, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(int(batches.sum())))
    return dataset.prefetch(tf.data.AUTOTUNE)


def choose_shapes(source_lengths, target_lengths, shapes):
    """Finds the first shape that holds each pair.

    Args:
        source_lengths: Integers, (N,).
        target_lengths: Integers, (N,), the start id included.
        shapes: List of `(S, T)`, rising in both.

    Returns:
        NumPy int64 array (N,) of indices into `shapes`; `len(shapes)` where none holds the pair.
    """
    by_source = np.searchsorted([s for s, _ in shapes], np.asarray(source_lengths))
    by_target = np.searchsorted([t for _, t in shapes], np.asarray(target_lengths))
    return np.maximum(by_source, by_target)


def merge_small_buckets(which, shapes, batch_size):
    """Leaves out shapes that would never fill a training batch.

    Training drops incomplete batches, so the pairs of a bucket of fewer than `batch_size` pairs
    would never be trained on. They join the next larger bucket; the largest bucket takes in the one
    below it instead.

    Args:
        which: Integers, (N,): the shape of each training pair, from `choose_shapes`.
        shapes: List of `(S, T)`, rising in both.
        batch_size: Pairs a batch.

    Returns:
        The shapes that stay, the largest always among them.
    """
    counts = np.bincount(which, minlength=len(shapes))
    kept, waiting = [], 0
    for shape, count in zip(shapes, counts, strict=True):
        waiting += count
        if waiting >= batch_size:
            kept.append(shape)
            waiting = 0
    if not kept or kept[-1] != shapes[-1]:
        kept[-1:] = shapes[-1:]
    return kept
