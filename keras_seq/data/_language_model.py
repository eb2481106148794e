"""Text, by name or from files -> batches for a model of the next token."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_seq.data._arguments import check_one_of, check_positive, check_tokenizer
from keras_seq.data._packing import cut, fill_rows, pack
from keras_seq.data._pipeline import Ragged, finish
from keras_seq.data._row_batches import RowBatches
from keras_seq.data._source import check_errors, is_text, open_source, read_columns
from keras_seq.data._splits import complete
from keras_seq.data._task_data import SplitSummary, TaskData, share_unknown
from keras_seq.data._texts import read_text_files, tokenize
from keras_seq.data.tokenizers import END_ID, PAD_ID, START_ID, UNKNOWN_ID, train_tokenizer
from keras_seq.training import chunks

LAYOUTS = ("blocks", "carried", "documents", "packed")
_HELD_OUT = 0.05  # of a single text, for each split that is missing


@dataclasses.dataclass(repr=False, kw_only=True)
class LanguageModelData(TaskData):
    """What `language_model` returns; `print` shows a summary.

    Attributes:
        train, validation, test: `tf.data.Dataset`s of batches, see `language_model`.
        texts: dict from split name to a list of `str`, the documents.
        tokenizer: KerasHub tokenizer.
        sequence_length: T, the greatest number of time steps in a row.
        layout: as passed.
        vocabulary_size: V, the number of token ids.
        start_id, end_id, pad_id: 2, 3, 0.
        dataset, summaries, dropped, sample: see `describe`.
    """

    texts: dict
    tokenizer: object
    sequence_length: int
    layout: str
    vocabulary_size: int
    start_id: int = START_ID
    end_id: int = END_ID
    pad_id: int = PAD_ID

    @property
    def unit(self):
        return "documents" if self.layout in ("documents", "packed") else "blocks"

    def _facts(self):
        return [
            ("vocabulary", f"{self.vocabulary_size:,}"),
            ("layout", f"{self.layout}, {self.sequence_length:,} tokens a row"),
        ]


def language_model(
    dataset,
    *,
    text=None,
    data_dir=None,
    tokenizer="character",
    vocabulary_size=8000,
    lowercase=False,
    layout="blocks",
    sequence_length=None,
    batch_size=None,
    max_tokens=None,
    length_buckets=None,
    static_shapes=False,
    seed=0,
    train_examples=None,
    errors="raise",
):
    """Makes batches for a model of the next token, from any text.

    Texts are tokenized once and kept in memory. Four layouts:

    - `"blocks"`: one long text, cut into blocks of T tokens, in another order and from another
      place on in each pass; `(tokens, labels)`, each (B, T). Documents are joined by the end id.
      For models that look back T steps at most, such as a Transformer.
    - `"carried"`: the same text in B long rows, cut into chunks that follow each other in order;
      `({"tokens", "reset"}, labels)` for `keras_seq.training.TruncatedBPTT`, which carries the
      states of recurrent layers from chunk to chunk. `reset` is True where a document begins.
    - `"documents"`: one document a row, from the start id to the end id, padded;
      `(tokens, labels, sample_weight)`. What is longer than T is left out and counted.
    - `"packed"`: several documents a row, one after the other, so that nearly nothing is padding;
      `({"tokens", "reset"}, labels, sample_weight)` for `keras_seq.training.Packed`, which keeps
      them apart. What is longer than T is cut into several and counted.

    A label is the token after. The tokenizer is trained on the train split alone. A missing
    validation or test split is held out of it: documents by a hash of their text, or the last 5 %
    of the text where there is one document.

    Args:
        dataset: name of a TFDS dataset; a text file of one document a line; a folder with
            `train.txt`, `validation.txt` and `test.txt`, likewise, or with folders `train`, ... of
            files that are one document each; a `tf.data.Dataset` of dicts; or a dict from split to
            such datasets.
        text: name of the column with the text. `None` takes the only one there is.
        data_dir: where TFDS keeps its datasets. `None` means TFDS' own default.
        tokenizer: a kind of `train_tokenizer`, or a tokenizer that it gave, with `add_end=False`.
        vocabulary_size: the greatest number of pieces.
        lowercase: whether the tokenizer converts text to lower case.
        layout: `"blocks"`, `"carried"`, `"documents"` or `"packed"`.
        sequence_length: T. `None` takes 128, or for documents the longest, at most 1,024.
        batch_size: rows of a batch, with `max_tokens` at most. `None` means 32, or as many as
            `max_tokens` lets in.
        max_tokens: rows times length of a batch at most, padding included: short documents come
            in batches of many rows.
        length_buckets: for documents, rising lengths such as `(16, 32, 64)`: a document goes to the
            first that holds it, and batches have these lengths only. The last one limits T.
        static_shapes: whether batches of documents have few shapes, each of one number of rows, as
            XLA and TPUs want it: `length_buckets`, or eight lengths at most that fit the data.
            Otherwise documents are sorted by length, and each batch is padded to its longest.
        seed: int; the order of the training rows.
        train_examples: keep the first so many training documents only.
        errors: `"raise"`, or `"skip"` to leave out and count records that cannot be read.

    Returns:
        A `LanguageModelData`. Ids and labels are int32, `reset` is boolean, weights are float32, 1
        where there is a label. Training batches are full (but those of `max_tokens` without
        `static_shapes`) and shuffled anew in each pass; validation and test are in order. What does
        not fill a block or chunk at the end of a text is left out and counted.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if there is no such dataset or column, an argument is out of range, a record
            cannot be read, or there is too little text for one batch.

    Example:

    ```python
    import tensorflow as tf
    from keras_seq.data import language_model

    names = tf.data.Dataset.from_tensor_slices({"text": ["emma", "olivia", "ava", "mia"] * 20})
    data = language_model(names, layout="documents", batch_size=8)
    print(data.describe())
    tokens, labels, weights = next(iter(data.train))
    assert tokens.shape[0] == 8 and tokens[0, 0] == data.start_id
    ```
    """
    check_one_of("layout", layout, LAYOUTS)
    check_errors(errors)
    check_positive(
        vocabulary_size=vocabulary_size,
        sequence_length=sequence_length,
        train_examples=train_examples,
    )
    batches = RowBatches(
        batch_size, max_tokens, length_buckets, static_shapes, seed, 32, "documents"
    )
    if not isinstance(tokenizer, str):
        check_tokenizer("tokenizer", tokenizer, ends=False)
    source = open_source(dataset, data_dir, read_text_files)
    text = source.column("text", text, next(iter(source.supervised), None), is_text, "text")
    columns, dropped = read_columns(source, [text], errors=errors, texts=[text])
    texts = {split: _without_empty(c[text], dropped[split]) for split, c in columns.items()}
    texts = _three_splits(texts, dropped, source.name)
    if train_examples is not None:
        texts["train"] = texts["train"][:train_examples]
    if isinstance(tokenizer, str):
        tokenizer = train_tokenizer(texts["train"], tokenizer, vocabulary_size, lowercase)
    ids = {split: tokenize(tokenizer, t, f"the {split} split") for split, t in texts.items()}

    length = sequence_length or (_longest(ids) if layout == "documents" else 128)
    if layout == "documents":
        length = min(length, batches.longest_bucket or length)
    else:
        batches.shapes = [(length,)]
    make = {"blocks": _blocks, "carried": _carried, "documents": _documents, "packed": _packed}
    pipelines, summaries = {}, {}
    for split, documents in ids.items():
        pipelines[split], summaries[split] = make[layout](
            split, documents, length, batches, dropped[split]
        )
    return LanguageModelData(
        **pipelines,
        dataset=source.name,
        summaries=summaries,
        sample=(texts["train"][0], f"{ids['train'][0][:12].tolist()}, ..."),
        texts=texts,
        tokenizer=tokenizer,
        sequence_length=length,
        layout=layout,
        vocabulary_size=tokenizer.vocabulary_size(),
    )


def _without_empty(texts, dropped):
    kept = [text for text in texts if text.strip()]
    dropped["empty"] = len(texts) - len(kept)
    return kept


def _three_splits(texts, dropped, name):
    if not texts["train"]:
        raise ValueError(f"The split 'train' of {name!r} has no text that is not empty.")
    if len(texts) == 3:
        return texts
    if len(texts["train"]) > 1:
        columns = {split: {"text": documents} for split, documents in texts.items()}
        return {s: c["text"] for s, c in complete(columns, "text", dropped).items()}
    (text,) = texts["train"]
    size = int(_HELD_OUT * len(text))
    for split in ("test", "validation"):
        if split not in texts:
            text, texts[split] = text[: len(text) - size], [text[len(text) - size :]]
            dropped[split] = dict.fromkeys(dropped["train"], 0)
    return {"train": [text], "validation": texts["validation"], "test": texts["test"]}


def _longest(ids):
    longest = max(int(ids[s].lengths.max(initial=0)) for s in ("train", "validation")) + 1
    return min(-(-longest // 8) * 8, 1024)


def _joined(documents):
    """All documents one after the other, the end id after each where there are several."""
    if len(documents) == 1:
        return documents.values
    return np.insert(documents.values, documents.splits[1:], END_ID)


def _blocks(split, documents, length, batches, dropped):
    text = tf.constant(_joined(documents))
    steps = len(text) - 1
    # One block less leaves room to begin anywhere in the first block's place.
    is_train = split == "train"
    count = max(steps // length - int(is_train and steps // length > 8), 0)
    room = steps - count * length + 1
    dropped["tokens"] = len(text) - (count * length + 1 if count else 0)

    def fill(rows, lengths, key):
        start = rows * length
        if is_train:
            start += tf.random.stateless_uniform([], key, 0, room, dtype="int64")
        block = tf.gather(text, start[:, None] + tf.range(length + 1, dtype="int64"))
        return block[:, :-1], block[:, 1:]

    lengths = np.full(count, length)
    dataset, plan = batches.make(split, lengths[:, None], fill)
    unknown = share_unknown(documents.values, UNKNOWN_ID)
    return dataset, SplitSummary.of_plan(plan, dropped, lengths, unknown)


def _carried(split, documents, length, batches, dropped):
    rows = batches.rows(length)
    text = [documents[i] for i in range(len(documents))]
    if len(text) > 1:
        text = [np.append(document, END_ID) for document in text]
    dataset = chunks(text, rows, length)
    count = int(dataset.cardinality())
    dropped["tokens"] = sum(map(len, text)) - count * rows * length
    summary = SplitSummary(
        count * rows,
        dropped,
        count,
        np.full(count * rows, length),
        unknown=share_unknown(np.concatenate(text), UNKNOWN_ID),
    )
    finished = finish(dataset)
    finished.from_step = lambda step: finish(dataset.repeat().skip(step % count))
    return finished, summary


def _documents(split, documents, length, batches, dropped):
    fits = documents.lengths < length
    dropped["too_long"] = int((~fits).sum())
    documents = documents.where(fits)
    lengths = documents.lengths[:, None] + 1
    if split == "train":
        batches.choose_shapes(lengths, (length,))
    pieces = documents.padded()

    def fill(rows, lengths, key):
        edge = tf.ones_like(rows, dtype="int32")[:, None]
        ids = pieces(rows, lengths[0] - 1)
        tokens = tf.concat([START_ID * edge, ids], axis=1)
        # The end comes right after the last piece; what follows the pieces is padding.
        after = tf.concat([ids, 0 * edge], axis=1)
        last = tf.gather(tf.constant(documents.lengths), rows)
        is_end = tf.range(tf.shape(after)[1], dtype="int64") == last[:, None]
        labels = tf.where(is_end, END_ID, after)
        return tokens, labels, tf.cast(labels != PAD_ID, "float32")

    dataset, plan = batches.make(split, lengths, fill)
    unknown = share_unknown(documents.values, UNKNOWN_ID)
    return dataset, SplitSummary.of_plan(plan, dropped, lengths[:, 0], unknown)


def _packed(split, documents, length, batches, dropped):
    # A document is its start id and pieces; the labels are its pieces and the end id.
    splits = documents.splits + np.arange(len(documents) + 1)
    tokens = Ragged(np.insert(documents.values, documents.splits[:-1], START_ID), splits)
    labels = np.insert(documents.values, documents.splits[1:], END_ID)
    begins, ends, dropped["cut"] = cut(tokens, length)
    row, start = pack(ends - begins, length)
    table = [
        fill_rows(values, begins, ends - begins, row, start, length)
        for values in (tokens.values, labels)
    ]
    reset = np.zeros(table[0].shape, bool)
    reset[row, start] = True
    used = np.bincount(row, ends - begins).astype("int64")
    reset[used < length, used[used < length]] = True  # padding is a document of its own
    tokens, labels, reset = (tf.constant(array) for array in (*table, reset))

    def fill(rows, lengths, key):
        chosen = tf.gather(labels, rows)
        inputs = {"tokens": tf.gather(tokens, rows), "reset": tf.gather(reset, rows)}
        return inputs, chosen, tf.cast(chosen != PAD_ID, "float32")

    dataset, plan = batches.make(split, np.full((len(used), 1), length), fill)
    unknown = share_unknown(documents.values, UNKNOWN_ID)
    summary = SplitSummary.of_plan(plan, dropped, documents.lengths + 1, unknown)
    summary.padding = 1 - float(used.mean()) / length
    return dataset, summary
