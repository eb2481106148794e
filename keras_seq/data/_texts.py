"""Files of text -> examples, and texts -> token ids."""

import glob
import os

import numpy as np
import tensorflow as tf

from keras_seq.data._progress import progress_bar
from keras_seq.data._ragged import Ragged
from keras_seq.data._splits import ALIASES
from keras_seq.data.tokenizers import END_ID, PAD_ID, START_ID

_ROWS = 1024  # texts tokenized at a time


def read_text_files(path):
    """Reads a text file, or a folder of them: one example a line, or a file.

    Args:
        path: a text file, which becomes the train split, one example a line that is not empty; or
            a folder with `train.txt` and perhaps `validation.txt` and `test.txt`, likewise; or with
            a folder `train` of text files, each of which is one example.

    Returns:
        Dict from split to a `tf.data.Dataset` of `{"text": string}`.

    Raises:
        ValueError: if the folder has another layout.
    """
    if os.path.isfile(path):
        return {"train": _lines(path)}
    splits = {}
    for names in ALIASES.values():
        for name in names:
            file, folder = os.path.join(path, f"{name}.txt"), os.path.join(path, name)
            files = sorted(glob.glob(os.path.join(glob.escape(folder), "**/*.txt"), recursive=True))
            if os.path.isfile(file):
                splits[name] = _lines(file)
            elif files:
                whole = tf.data.Dataset.from_tensor_slices(files)
                splits[name] = whole.map(lambda file: {"text": tf.io.read_file(file)})
    if not splits:
        found = sorted(os.listdir(path))[:5]
        raise ValueError(
            f"The folder {path!r} must hold text: train.txt, one example a line, or a folder "
            f"train of files *.txt, one example each. Received: {found or 'an empty folder'}"
        )
    return splits


def _lines(path):
    return tf.data.TextLineDataset(path).map(lambda line: {"text": line})


def tokenize(tokenizer, texts, what="texts", end=False):
    """Token ids of texts, with a progress bar where it takes long.

    Args:
        tokenizer: a tokenizer of `train_tokenizer`.
        texts: list of `str`.
        what: what they are, for the progress bar.
        end: whether the end id is put after each.

    Returns:
        `Ragged` of int32 ids.
    """
    if not texts:
        return Ragged(np.zeros(0, "int32"), [0])
    values, lengths = [], []
    # In tf.data the tokenizer runs in TensorFlow whatever Keras' backend is.
    with tf.device("cpu"):
        batches = tf.data.Dataset.from_tensor_slices(texts).batch(_ROWS)
        batches = batches.map(tokenizer, num_parallel_calls=2, deterministic=True)
        options = tf.data.Options()
        options.autotune.enabled = False
        batches = batches.with_options(options)
        with progress_bar(f"Tokenizing {what}", len(texts), "texts", delay=2.0, leave=False) as bar:
            for ids in batches:
                splits, rows = ids.row_splits.numpy(), ids.values.numpy().astype("int32")
                values.append(np.insert(rows, splits[1:], END_ID) if end else rows)
                lengths.append(np.diff(splits) + int(end))
                bar.update(len(lengths[-1]))
    return Ragged(np.concatenate(values), np.concatenate([[0], np.cumsum(np.concatenate(lengths))]))


def shifted(documents):
    """What a model of the next token gets of texts: inputs one step behind their labels.

    Args:
        documents: `Ragged` of int32 ids, N texts with the end id after each.

    Returns:
        Function from row numbers (n,) and T to the inputs, the start id and all ids but the end;
        the labels, the ids; and the weights, 1 where there is a label and 0 at padding; each
        (n, T).
    """
    padded = documents.padded()

    def gather(rows, length):
        labels = padded(rows, length, PAD_ID)
        start = tf.fill([tf.shape(labels)[0], 1], START_ID)
        before = tf.concat([start, labels[:, :-1]], axis=1)
        inputs = tf.where(labels == PAD_ID, PAD_ID, before)
        return inputs, labels, tf.cast(labels != PAD_ID, "float32")

    return gather
