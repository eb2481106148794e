"""Documents as rows of a language model: the layouts of `language_model`.

Each is a function `(split, documents, length, batches, dropped) -> (dataset, summary)`. The
documents are a `Ragged` of token ids, the end id after each; so they are what the model is to say.
"""

import numpy as np
import tensorflow as tf

from keras_seq.data._packing import cut, fill_rows, pack
from keras_seq.data._pipeline import finish
from keras_seq.data._ragged import taker
from keras_seq.data._task_data import SplitSummary
from keras_seq.data._texts import shifted
from keras_seq.data.tokenizers import PAD_ID, START_ID
from keras_seq.training import chunks


def _text(documents):
    """All documents one after the other; the end of a single one is left out."""
    if len(documents) == 1:
        return documents[0][:-1]
    if np.array_equal(documents.begins[1:], documents.ends[:-1]):
        return documents.values[documents.begins[0] : documents.ends[-1]]
    return np.concatenate([documents[i] for i in range(len(documents))])


def blocks(split, documents, length, batches, dropped):
    """One text, cut into blocks."""
    text = _text(documents)
    take, steps = taker(text), len(text) - 1
    # One block less leaves room to begin anywhere in the first block's place.
    is_train = split == "train"
    count = max(steps // length - int(is_train and steps // length > 8), 0)
    room = steps - count * length + 1
    dropped["tokens"] = len(text) - (count * length + 1 if count else 0)

    def fill(rows, lengths, key):
        start = rows * length
        if is_train:
            start += tf.random.stateless_uniform([], key, 0, room, dtype="int64")
        block = take(start[:, None] + tf.range(length + 1, dtype="int64"))
        return block[:, :-1], block[:, 1:]

    lengths = np.full(count, length)
    dataset, plan = batches.make(split, lengths[:, None], fill)
    return dataset, SplitSummary.of_plan(plan, dropped, lengths)


def carried(split, documents, length, batches, dropped):
    """One text in long rows, cut into chunks that follow each other."""
    rows = batches.rows(length)
    single = len(documents) == 1
    text = [_text(documents)] if single else [documents[i] for i in range(len(documents))]
    dataset = chunks(text, rows, length)
    count = int(dataset.cardinality())
    dropped["tokens"] = sum(map(len, text)) - count * rows * length
    summary = SplitSummary(count * rows, dropped, count, np.full(count * rows, length))
    finished = finish(dataset)

    def from_step(step, passes=None):
        more = dataset.repeat(None if passes is None else passes - step // count)
        return finish(more.skip(step % count))

    finished.from_step = from_step
    return finished, summary


def one_a_row(split, documents, length, batches, dropped):
    """One document a row, padded."""
    fits = documents.lengths <= length
    dropped["too_long"] = int((~fits).sum())
    documents = documents.where(fits)
    if split == "train":
        batches.choose_shapes(documents.lengths[:, None], (length,))
    gather = shifted(documents)

    def fill(rows, lengths, key):
        return gather(rows, lengths[0])

    dataset, plan = batches.make(split, documents.lengths[:, None], fill)
    return dataset, SplitSummary.of_plan(plan, dropped, documents.lengths)


def packed(split, documents, length, batches, dropped):
    """Several documents a row, one after the other."""
    begins, ends, dropped["cut"] = cut(documents, length)
    row, start = pack(ends - begins, length)
    labels = fill_rows(documents.values, begins, ends - begins, row, start, length, PAD_ID)
    used = np.bincount(row, ends - begins).astype("int64")
    # What is said before a piece: the start, or where a document was cut, its last piece.
    first = np.full(len(begins), START_ID, "int32")
    goes_on = np.isin(begins, documents.begins, invert=True)
    first[goes_on] = documents.values[begins[goes_on] - 1]
    tokens = np.concatenate([np.full((len(labels), 1), PAD_ID, "int32"), labels[:, :-1]], axis=1)
    tokens[row, start] = first
    tokens[labels == PAD_ID] = PAD_ID
    reset = np.zeros(labels.shape, bool)
    reset[row, start] = True
    reset[used < length, used[used < length]] = True  # padding is a document of its own
    take = [taker(table) for table in (tokens, reset, labels)]

    def fill(rows, lengths, key):
        tokens, reset, labels = (of(rows) for of in take)
        return {"tokens": tokens, "reset": reset}, labels, tf.cast(labels != PAD_ID, "float32")

    dataset, plan = batches.make(split, np.full((len(used), 1), length), fill)
    summary = SplitSummary.of_plan(plan, dropped, documents.lengths)
    summary.padding = 1 - float(used.mean()) / length if len(used) else 0.0
    return dataset, summary


LAYOUTS = {"blocks": blocks, "carried": carried, "documents": one_a_row, "packed": packed}
