"""Texts or series with a label each, by name or from folders -> batches for a classifier."""

import dataclasses
import glob
import os

import numpy as np
import tensorflow as tf

from keras_seq.data._arguments import (
    check_errors,
    check_kind_or_tokenizer,
    check_one_of,
    check_positive,
)
from keras_seq.data._labeled_rows import labeled_batches
from keras_seq.data._labels import class_numbers, facts_of_classes, is_label
from keras_seq.data._ragged import Ragged
from keras_seq.data._read_columns import finite_rows, read_columns
from keras_seq.data._row_batches import RowBatches
from keras_seq.data._source import is_text, open_source
from keras_seq.data._splits import ALIASES, complete, pick
from keras_seq.data._task_data import TaskData
from keras_seq.data._texts import tokenize
from keras_seq.data.tokenizers import PAD_ID, train_tokenizer

TOO_LONG = ("drop", "keep_first", "keep_last")


@dataclasses.dataclass(repr=False, kw_only=True)
class ClassificationData(TaskData):
    """What `classification` returns; `print` shows a summary.

    Attributes:
        train, validation, test: `tf.data.Dataset`s of batches `(inputs, labels (B,))`: token ids
            (B, T) int32, or floats (B, T, D), and int64 class numbers.
        texts: dict from split name to a list of `str`; empty for series.
        tokenizer: KerasHub tokenizer, or `None` for series.
        sequence_length: the longest T of a batch.
        vocabulary_size: V, the number of token ids, or `None`.
        class_names: list of the names of the classes.
        columns: `(inputs, label)`, their names in the dataset.
        pad_id: 0, what fills up rows.
        dataset, summaries, dropped, sample: see `describe`.
    """

    texts: dict
    tokenizer: object
    sequence_length: int
    vocabulary_size: int
    class_names: list
    columns: tuple
    pad_id: int = PAD_ID

    def _facts(self):
        return facts_of_classes(self)

    @property
    def length_unit(self):
        return "steps" if self.tokenizer is None else "tokens"


def classification(
    dataset,
    *,
    inputs=None,
    label=None,
    data_dir=None,
    tokenizer="subword",
    vocabulary_size=8000,
    lowercase=False,
    sequence_length=None,
    too_long="drop",
    batch_size=None,
    max_tokens=None,
    length_buckets=None,
    static_shapes=False,
    seed=0,
    train_examples=None,
    errors="raise",
):
    """Makes batches for a classifier of texts or series.

    Texts are tokenized once and kept in memory, series of numbers are taken as they are. Rows are
    padded at the right with zeros. The tokenizer is trained on the train split alone. A missing
    validation or test split is held out of it, by a hash of the content.

    Args:
        dataset: name of a TFDS dataset; a folder with a folder for each split, or for train alone,
            that has a folder of text files for each class (`train/positive/1.txt`); a
            `tf.data.Dataset` of dicts or of `(input, label)`, unbatched; or a dict from split to
            such datasets.
        inputs: name of the column with the text, or with a series, (T,) or (T, D) numbers. `None`
            takes the dataset's `supervised_keys`, or the only one there is.
        label: name of the column with the class, an integer or a name. `None` likewise.
        data_dir: where TFDS keeps its datasets. `None` means TFDS' own default.
        tokenizer: a kind of `train_tokenizer`, or a tokenizer that it gave, with `add_end=False`.
        vocabulary_size: the greatest number of pieces.
        lowercase: whether the tokenizer converts text to lower case.
        sequence_length: the greatest T. `None` takes the longest of train and validation.
        too_long: what becomes of longer examples, which are counted: `"drop"` leaves them out,
            `"keep_first"` and `"keep_last"` cut off the rest.
        batch_size: rows of a batch, with `max_tokens` at most. `None` means 32, or as many as
            `max_tokens` lets in.
        max_tokens: rows times length of a batch at most, padding included: short examples come in
            batches of many rows.
        length_buckets: rising lengths such as `(64, 128, 256)`: an example goes to the first that
            holds it, and batches have these lengths only. The last one limits T.
        static_shapes: whether batches have few shapes, each of one number of rows, as XLA and TPUs
            want it: `length_buckets`, or eight lengths at most that fit the data. Otherwise
            examples are sorted by length, and each batch is padded to its longest.
        seed: int; the order of the training examples.
        train_examples: keep the first so many training examples only.
        errors: `"raise"`, or `"skip"` to leave out and count records that cannot be read and labels
            that are no class.

    Returns:
        A `ClassificationData`. Training batches are full (but those of `max_tokens` without
        `static_shapes`) and shuffled anew in each pass.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if there is no such dataset or column, an argument is out of range, a record
            cannot be read, a label is no class, or there is too little for one batch.

    Example:

    ```python
    import tensorflow as tf
    from keras_seq.data import classification

    texts = ["a fine film", "dull and long", "fine, fine", "how dull"] * 16
    rows = tf.data.Dataset.from_tensor_slices((texts, ["good", "bad"] * 32))
    data = classification(rows, tokenizer="character", batch_size=8)
    print(data.describe())
    tokens, labels = next(iter(data.train))
    assert tokens.shape[0] == labels.shape[0] == 8 and data.class_names == ["bad", "good"]
    ```
    """
    check_errors(errors)
    check_one_of("too_long", too_long, TOO_LONG)
    check_positive(
        vocabulary_size=vocabulary_size,
        sequence_length=sequence_length,
        train_examples=train_examples,
    )
    batches = RowBatches(
        batch_size, max_tokens, length_buckets, static_shapes, seed, 32, "examples"
    )
    check_kind_or_tokenizer("tokenizer", tokenizer)

    source = open_source(dataset, data_dir, read_class_folders)
    keys = source.supervised or ("text", "label")
    inputs = source.column("inputs", inputs, keys[0], _is_input, "a text or a series")
    label = source.column("label", label, keys[1], is_label, "a class")
    of_text = is_text(source.spec[inputs])
    columns, dropped = read_columns(
        source, [inputs, label], errors=errors, texts=[inputs] if of_text else []
    )
    labels = {split: c[label] for split, c in columns.items()}
    numbers, keep, names = class_numbers(source, label, labels, errors, dropped)
    for split, c in columns.items():
        if not of_text:
            finite = finite_rows(source, split, inputs, c[inputs], errors, dropped[split])
            keep[split] = keep[split] & finite
        rows = {"inputs": list(c[inputs]), "label": np.asarray(numbers[split], "int64")}
        rows = {name: pick(items, keep[split]) for name, items in rows.items()}
        full = np.array([bool(x.strip()) if of_text else len(x) > 0 for x in rows["inputs"]], bool)
        dropped[split]["empty"] = int((~full).sum())
        columns[split] = {name: pick(items, full) for name, items in rows.items()}
    columns = complete(columns, "inputs", dropped)
    if train_examples is not None:
        columns["train"] = {name: c[:train_examples] for name, c in columns["train"].items()}

    texts = {split: c["inputs"] for split, c in columns.items()} if of_text else {}
    if not of_text:
        tokenizer = None
        rows = {
            split: Ragged.of([np.asarray(x, "float32") for x in c["inputs"]])
            for split, c in columns.items()
        }
    else:
        if isinstance(tokenizer, str):
            tokenizer = train_tokenizer(texts["train"], tokenizer, vocabulary_size, lowercase)
        rows = {s: tokenize(tokenizer, t, f"the {s} split") for s, t in texts.items()}

    labels = {split: c["label"] for split, c in columns.items()}
    pipelines, summaries, length = labeled_batches(
        rows,
        labels,
        _filler,
        dropped,
        batches,
        sequence_length,
        too_long=too_long,
        of_tokens=of_text,
    )
    first = f"{columns['train']['inputs'][0]}"
    return ClassificationData(
        **pipelines,
        dataset=source.name,
        summaries=summaries,
        sample=(first, f"{rows['train'][0][:12].tolist()}, ... -> {labels['train'][0]}"),
        texts=texts,
        tokenizer=tokenizer,
        sequence_length=length,
        vocabulary_size=None if tokenizer is None else tokenizer.vocabulary_size(),
        class_names=names,
        columns=(inputs, label),
    )


def _is_input(spec):
    return is_text(spec) or (spec.shape.rank in (1, 2) and spec.dtype.name != "string")


def _filler(sequences, classes):
    gather, classes = sequences.padded(), tf.constant(classes)
    return lambda rows, lengths, key: (gather(rows, lengths[0]), tf.gather(classes, rows))


def read_class_folders(path):
    """Reads folders of text files, a folder a class.

    Args:
        path: a folder of class folders, or of split folders that have class folders.

    Returns:
        Dict from split to a `tf.data.Dataset` of `{"text": string, "label": string}`.

    Raises:
        ValueError: if the folder has another layout.
    """
    known = [name for names in ALIASES.values() for name in names]
    splits = [name for name in known if os.path.isdir(os.path.join(path, name))]
    folders = {name: os.path.join(path, name) for name in splits} or {"train": path}
    datasets = {}
    for split, folder in folders.items():
        files = sorted(glob.glob(os.path.join(glob.escape(folder), "*", "*.txt")))
        if not files:
            found = sorted(os.listdir(folder))[:5] if os.path.isdir(folder) else "a file"
            raise ValueError(
                f"The folder {folder!r} must have a folder of text files *.txt for each class, "
                f"such as positive/1.txt. Received: {found or 'an empty folder'}"
            )
        classes = [os.path.basename(os.path.dirname(file)) for file in files]
        rows = tf.data.Dataset.from_tensor_slices((files, classes))
        datasets[split] = rows.map(lambda file, c: {"text": tf.io.read_file(file), "label": c})
    return datasets
