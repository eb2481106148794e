"""Files of text -> examples, and texts -> token ids."""

import glob
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from keras_seq.data._progress import progress_bar
from keras_seq.data._ragged import Ragged
from keras_seq.data._splits import ALIASES
from keras_seq.data.tokenizers import END_ID, PAD_ID, START_ID

# What is tokenized at a time at most; tokenizers take about a hundred bytes a character.
_ROWS, _CHARACTERS = 1024, 2**18


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
    values, lengths = [np.zeros(0, "int32")], [[0]]
    with progress_bar(f"Tokenizing {what}", len(texts), "texts", delay=2.0, leave=False) as bar:
        for ids, counts in encoder(tokenizer, end)(texts):
            values.append(ids)
            lengths.append(counts)
            bar.update(len(counts))
    return Ragged(np.concatenate(values), np.cumsum(np.concatenate(lengths)))


def encoder(tokenizer, end=False):
    """What tokenizes texts some at a time, so that the memory it takes is bounded.

    Args:
        tokenizer, end: as of `tokenize`.

    Returns:
        Function from a list of `str` to an iterator over pairs: the int32 ids of the next texts,
        one after the other, and the number of ids of each.
    """
    # In a graph the tokenizer runs in TensorFlow whatever Keras' backend is.
    in_graph = tf.function(
        lambda texts: tokenizer(texts), input_signature=[tf.TensorSpec([None], tf.string)]
    )

    def encode(texts):
        with tf.device("cpu"):
            ids = in_graph(tf.constant(texts))
        splits, values = ids.row_splits.numpy(), ids.values.numpy().astype("int32")
        values = np.insert(values, splits[1:], END_ID) if end else values
        return values, np.diff(splits) + int(end)

    def encoded(texts):
        with ThreadPoolExecutor(2) as pool:
            yield from pool.map(encode, _groups(texts))

    return encoded


def _groups(texts):
    """Yields lists of texts that follow each other, of a few characters or one text each."""
    group, characters = [], 0
    for text in texts:
        if group and (len(group) == _ROWS or characters + len(text) > _CHARACTERS):
            yield group
            group, characters = [], 0
        group.append(text)
        characters += len(text)
    if group:
        yield group


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
