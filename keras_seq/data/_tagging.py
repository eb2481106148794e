"""Sequences with a label a step, by name or from files -> batches for a tagger."""

import dataclasses
import os

import numpy as np
import tensorflow as tf

from keras_seq.data._arguments import check_errors, check_positive, check_tokenizer
from keras_seq.data._labeled_rows import labeled_batches
from keras_seq.data._labels import class_numbers, facts_of_classes
from keras_seq.data._ragged import Ragged
from keras_seq.data._read_columns import finite_rows, read_columns
from keras_seq.data._row_batches import RowBatches
from keras_seq.data._source import listed, open_source
from keras_seq.data._splits import ALIASES, complete, pick
from keras_seq.data._task_data import TaskData
from keras_seq.data._texts import tokenize
from keras_seq.data.tokenizers import PAD_ID, train_tokenizer


@dataclasses.dataclass(repr=False, kw_only=True)
class TaggingData(TaskData):
    """What `tagging` returns; `print` shows a summary.

    Attributes:
        train, validation, test: `tf.data.Dataset`s of batches `(inputs, labels (B, T),
            sample_weight (B, T))`: token ids (B, T) int32, or floats (B, T, ...), int64 class
            numbers, and float32 weights, 1 where there is a step and 0 at padding.
        tokenizer: KerasHub tokenizer of whole words, or `None` for numbers.
        sequence_length: the longest T of a batch.
        vocabulary_size: V, the number of token ids, or `None`.
        class_names: list of the names of the classes.
        columns: `(inputs, labels)`, their names in the dataset.
        pad_id: 0, what fills up rows.
        dataset, summaries, dropped, sample: see `describe`.
    """

    tokenizer: object
    sequence_length: int
    vocabulary_size: int
    class_names: list
    columns: tuple
    pad_id: int = PAD_ID

    unit = "sequences"
    length_unit = "steps"

    def _facts(self):
        return facts_of_classes(self)


def tagging(
    dataset,
    *,
    inputs=None,
    labels=None,
    data_dir=None,
    tokenizer=None,
    vocabulary_size=20_000,
    lowercase=False,
    sequence_length=None,
    batch_size=None,
    max_tokens=None,
    length_buckets=None,
    static_shapes=False,
    seed=0,
    train_examples=None,
    errors="raise",
):
    """Makes batches for a model that gives every step of a sequence a label.

    The steps are words, each of which is one token, or numbers of any shape, such as the frames of
    a clip; pixels (uint8) become floats in 0 to 1, batch by batch. Rows are padded at the right.
    The vocabulary is that of the train split alone. A missing validation or test split is held out
    of it, by a hash of the content.

    Args:
        dataset: name of a TFDS dataset; a folder with `train.txt` and perhaps `validation.txt` and
            `test.txt` in the columns of CoNLL (one word a line, its label last, an empty line
            after each sentence); a `tf.data.Dataset` of dicts or of `(input, labels)`, unbatched;
            or a dict from split to such datasets.
        inputs: name of the column with the steps: (T,) words, a text whose words stand between
            white space, or numbers (T, ...). `None` takes the dataset's `supervised_keys`, or the
            only one there is.
        labels: name of the column with the classes, (T,) integers or names, or a text of names
            between white space. `None` likewise.
        data_dir: where TFDS keeps its datasets. `None` means TFDS' own default.
        tokenizer: a tokenizer that gives one id a word, as the kind `"word"` of `train_tokenizer`
            does. `None` trains one.
        vocabulary_size: the greatest number of words, special ones included.
        lowercase: whether the tokenizer converts words to lower case.
        sequence_length: the greatest T; longer sequences are left out and counted. `None` takes the
            longest of train and validation.
        batch_size, max_tokens, length_buckets, static_shapes, seed, train_examples: see
            `classification`.
        errors: `"raise"`, or `"skip"` to leave out and count records that cannot be read, labels
            that are no class, and sequences with more or fewer labels than steps.

    Returns:
        A `TaggingData`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if there is no such dataset or column, an argument is out of range, a record
            cannot be read, a label is no class, steps and labels differ in number, or there is too
            little for one batch.

    Example:

    ```python
    import tensorflow as tf
    from keras_seq.data import tagging

    words = ["the dog runs", "a cat sleeps", "dogs run"] * 20
    kinds = ["article noun verb", "article noun verb", "noun verb"] * 20
    data = tagging(tf.data.Dataset.from_tensor_slices((words, kinds)), batch_size=4)
    tokens, labels, weights = next(iter(data.train))
    assert tokens.shape == labels.shape and data.class_names == ["article", "noun", "verb"]
    ```
    """
    check_errors(errors)
    check_positive(
        vocabulary_size=vocabulary_size,
        sequence_length=sequence_length,
        train_examples=train_examples,
    )
    batches = RowBatches(
        batch_size, max_tokens, length_buckets, static_shapes, seed, 32, "sequences"
    )
    check_tokenizer("tokenizer", tokenizer, ends=False)

    source = open_source(dataset, data_dir, read_conll_files)
    keys = source.supervised or ("words", "labels")
    inputs = source.column("inputs", inputs, keys[0], _is_steps, "a sequence")
    labels = source.column("labels", labels, keys[1], _is_classes, "a class for each step")
    of_words = source.spec[inputs].dtype == tf.string
    columns, dropped = read_columns(source, [inputs, labels], errors=errors)
    for split, c in columns.items():
        steps = [_words(x) if of_words else _numbers(x) for x in c[inputs]]
        names = [_words(y) if _is_string(y) else y for y in c[labels]]
        equal = _equal_lengths(source, split, steps, names, errors, dropped[split])
        columns[split] = {"inputs": pick(steps, equal), "labels": pick(names, equal)}
    names = {split: c["labels"] for split, c in columns.items()}
    numbers, keep, class_names = class_numbers(source, labels, names, errors, dropped)
    for split, c in columns.items():
        if not of_words:
            finite = finite_rows(source, split, inputs, c["inputs"], errors, dropped[split])
            keep[split] = keep[split] & finite
        full = keep[split] & np.array([len(x) > 0 for x in c["inputs"]], bool)
        dropped[split]["empty"] = int((keep[split] & ~full).sum())
        columns[split] = {
            "inputs": pick(c["inputs"], full),
            "labels": pick(numbers[split], full),
            "key": [x.tobytes() for x in pick(c["inputs"], full)],
        }
    columns = complete(columns, "key", dropped)
    for name in columns["train"]:
        columns["train"][name] = columns["train"][name][:train_examples]

    if not of_words:
        tokenizer = None
        rows = {split: Ragged.of(c["inputs"]) for split, c in columns.items()}
    else:
        texts = {split: [" ".join(words) for words in c["inputs"]] for split, c in columns.items()}
        if tokenizer is None:
            tokenizer = train_tokenizer(texts["train"], "word", vocabulary_size, lowercase)
        rows = {s: tokenize(tokenizer, t, f"the {s} split") for s, t in texts.items()}
        for split, sequences in rows.items():
            _check_one_each(tokenizer, sequences, columns[split]["inputs"])

    classes = {split: c["labels"] for split, c in columns.items()}
    pipelines, summaries, length = labeled_batches(
        rows, classes, _filler, dropped, batches, sequence_length, of_tokens=of_words
    )
    before = columns["train"]["inputs"][0]
    after = f"{rows['train'][0][:12].tolist()} -> {classes['train'][0][:12].tolist()}"
    return TaggingData(
        **pipelines,
        dataset=source.name,
        summaries=summaries,
        sample=(" ".join(before) if of_words else f"numbers {before.shape}", after),
        tokenizer=tokenizer,
        sequence_length=length,
        vocabulary_size=None if tokenizer is None else tokenizer.vocabulary_size(),
        class_names=class_names,
        columns=(inputs, labels),
    )


def _is_string(value):
    return isinstance(value, (bytes, str)) or np.asarray(value).dtype.kind in "OSU"


def _numbers(value):
    """Pixels as they are, a byte each; other numbers as floats."""
    value = np.asarray(value)
    return value if value.dtype == np.uint8 else value.astype("float32")


def _words(value):
    """Array of `str`, none of which has white space; of a text or an array of bytes."""
    if isinstance(value, (bytes, str)):
        value = value.split()
    words = [w.decode("utf-8", "replace") if isinstance(w, bytes) else str(w) for w in value]
    return np.array(["_".join(word.split()) or "_" for word in words], "U")


def _is_steps(spec):
    if spec.dtype == tf.string:
        return spec.shape.rank in (0, 1)
    return spec.shape.rank != 0


def _is_classes(spec):
    if spec.dtype == tf.string:
        return spec.shape.rank in (0, 1)
    return spec.dtype.is_integer and spec.shape.rank == 1


def _equal_lengths(source, split, steps, labels, errors, dropped):
    equal = [len(x) == len(y) for x, y in zip(steps, labels, strict=True)]
    if not all(equal) and errors == "raise":
        i = equal.index(False)
        raise ValueError(
            f"Record {i:,} of split {split!r} of {source.name!r} must have a label for each step. "
            f"Received: {len(steps[i])} steps and {len(labels[i])} labels. Correct it, or pass "
            "errors='skip' to leave out and count such records."
        )
    dropped["unequal"] = len(equal) - sum(equal)
    return equal


def _check_one_each(tokenizer, sequences, words):
    for i, (count, given) in enumerate(zip(sequences.lengths, words, strict=True)):
        if count != len(given):
            raise ValueError(
                "`tokenizer` must give one id a word, as train_tokenizer(texts, 'word') does. "
                f"Received: {type(tokenizer).__name__}, which gives {count} ids for the "
                f"{len(given)} words of example {i}."
            )


def _filler(sequences, classes):
    inputs, labels = sequences.padded(), Ragged.of(classes).padded()
    ends = tf.constant(sequences.lengths)

    def fill(rows, lengths, key):
        length = lengths[0]
        is_step = tf.range(length, dtype="int64") < tf.gather(ends, rows)[:, None]
        steps = inputs(rows, length)
        if steps.dtype == tf.uint8:
            steps = tf.image.convert_image_dtype(steps, "float32")
        return steps, labels(rows, length), tf.cast(is_step, "float32")

    return fill


def read_conll_files(path):
    """Reads `train.txt`, `validation.txt` and `test.txt`: a word and its label a line.

    Args:
        path: the folder.

    Returns:
        Dict from split to a `tf.data.Dataset` of `{"words": string, "labels": string}`, each with
        white space between.

    Raises:
        ValueError: if there are no such files, one is empty, or a line has no label or is no UTF-8.
    """
    found, datasets = listed(path, "files of words and labels"), {}
    for name in (name for names in ALIASES.values() for name in names):
        file = os.path.join(path, f"{name}.txt")
        if os.path.isfile(file):
            sentences = _sentences(file)
            if not sentences["words"]:
                raise ValueError(f"The file {file!r} must have a sentence. Received: an empty file")
            datasets[name] = tf.data.Dataset.from_tensor_slices(sentences)
    if not datasets:
        raise ValueError(
            f"The folder {path!r} must hold train.txt, one word a line with its label last, and "
            f"an empty line after each sentence. Received: {found[:5]}"
        )
    return datasets


def _sentences(path):
    sentences, words, labels = {"words": [], "labels": []}, [], []
    with open(path, "rb") as file:
        for number, line in enumerate([*file, b""], 1):
            try:
                line = line.decode("utf-8").removeprefix("\ufeff")
            except UnicodeDecodeError:
                raise ValueError(
                    f"Line {number} of {path!r} must be UTF-8. Received: {line}"
                ) from None
            parts = line.split()
            if parts and len(parts) < 2:
                raise ValueError(
                    f"Line {number} of {path!r} must have a word and its label. Received: "
                    f"{line.strip()!r}"
                )
            if parts:
                words.append(parts[0])
                labels.append(parts[-1])
            elif words:
                sentences["words"].append(" ".join(words))
                sentences["labels"].append(" ".join(labels))
                words, labels = [], []
    return sentences
