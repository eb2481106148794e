"""Text, by name or from files -> batches for a model of the next token."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_seq.data._arguments import (
    check_budget,
    check_one_of,
    check_positive,
    check_tokenizer,
    checked_buckets,
)
from keras_seq.data._batch_plan import (
    choose_shapes,
    first_shapes,
    merge_small_shapes,
    plan_batches,
    rows_of,
)
from keras_seq.data._packing import cut, fill_rows, pack
from keras_seq.data._pipeline import Ragged, finish, make_dataset
from keras_seq.data._source import check_errors, is_text, open_source, read_columns
from keras_seq.data._splits import complete
from keras_seq.data._task_data import SplitSummary, TaskData, share_unknown
from keras_seq.data._texts import read_text_files, tokenize
from keras_seq.data._tokenizers import END_ID, PAD_ID, START_ID, UNKNOWN_ID, train_tokenizer
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
        batch_size=batch_size,
        max_tokens=max_tokens,
        vocabulary_size=vocabulary_size,
        sequence_length=sequence_length,
        train_examples=train_examples,
    )
    buckets = checked_buckets(length_buckets)
    if not isinstance(tokenizer, str):
        check_tokenizer("tokenizer", tokenizer, ends=False)
    if batch_size is None and max_tokens is None:
        batch_size = 32

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
    length = min(length, buckets[-1]) if buckets else length
    make = {"blocks": _blocks, "carried": _carried, "documents": _documents, "packed": _packed}
    pipelines, summaries = {}, {}
    for split, documents in ids.items():
        pipelines[split], summaries[split] = make[layout](
            documents,
            length,
            _Batches(batch_size, max_tokens, buckets, static_shapes, split == "train", seed),
            dropped[split],
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


@dataclasses.dataclass
class _Batches:
    """How rows become batches, the arguments of `language_model` for one split."""

    batch_size: int
    max_tokens: int
    buckets: list
    static_shapes: bool
    is_train: bool
    seed: int

    def of_one_length(self, count, length):
        check_budget(self.max_tokens, length)
        plan = plan_batches(
            np.full((count, 1), length),
            batch_size=self.batch_size,
            max_tokens=self.max_tokens,
            shapes=[(length,)],
            drop_last=self.is_train,
        )
        if self.is_train and not len(plan):
            rows = rows_of((length,), self.batch_size, self.max_tokens)
            raise ValueError(
                f"The text must fill one training batch of {rows} rows of {length} tokens. "
                f"Received: {count} rows. Pass a smaller `batch_size` or `sequence_length`."
            )
        return plan

    def dataset(self, plan, fill):
        return make_dataset(plan, fill, shuffle=self.is_train, seed=self.seed)


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


def _blocks(documents, length, batches, dropped):
    text = tf.constant(_joined(documents))
    steps = len(text) - 1
    # One block less leaves room to begin anywhere in the first block's place.
    count = steps // length - int(batches.is_train and steps // length > 8)
    room = steps - count * length + 1 if batches.is_train else 1
    plan = batches.of_one_length(max(count, 0), length)
    dropped["tokens"] = len(text) - int(count * length + 1) if count > 0 else len(text)

    def fill(rows, lengths, key):
        start = rows * length
        if batches.is_train:
            start += tf.random.stateless_uniform([], key, 0, room, dtype="int64")
        block = tf.gather(text, start[:, None] + tf.range(length + 1, dtype="int64"))
        return block[:, :-1], block[:, 1:]

    unknown = share_unknown(documents.values, UNKNOWN_ID)
    summary = SplitSummary.of_plan(plan, dropped, np.full(max(count, 0), length), unknown)
    return batches.dataset(plan, fill), summary


def _carried(documents, length, batches, dropped):
    check_budget(batches.max_tokens, length)
    rows = rows_of((length,), batches.batch_size, batches.max_tokens)
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


def _documents(documents, length, batches, dropped):
    fits = documents.lengths < length
    dropped["too_long"] = int((~fits).sum())
    documents = documents.where(fits)
    lengths = documents.lengths[:, None] + 1
    plan = _plan_documents(lengths, length, batches)
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

    unknown = share_unknown(documents.values, UNKNOWN_ID)
    return batches.dataset(plan, fill), SplitSummary.of_plan(plan, dropped, lengths[:, 0], unknown)


def _plan_documents(lengths, length, batches):
    check_budget(batches.max_tokens, int(lengths.max(initial=0)))
    shapes = None
    if batches.buckets:
        shapes = sorted({(min(bucket, length),) for bucket in batches.buckets} | {(length,)})
    elif batches.static_shapes:
        shapes = choose_shapes(lengths, (length,))
    full = batches.is_train and (shapes is not None or batches.max_tokens is None)
    sizes = {"batch_size": batches.batch_size, "max_tokens": batches.max_tokens}
    if full and shapes is not None:
        which = first_shapes(lengths, shapes)
        shapes = merge_small_shapes(which, shapes, lambda shape: rows_of(shape, **sizes))
    plan = plan_batches(lengths, **sizes, shapes=shapes, drop_last=full)
    if batches.is_train and not len(plan):
        raise ValueError(
            f"`batch_size` must be at most {len(lengths)}, the number of training documents that "
            f"fit {length} tokens. Received: {batches.batch_size}"
        )
    return plan


def _packed(documents, length, batches, dropped):
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
    plan = batches.of_one_length(len(reset), length)
    plan.padding = 1 - float(used.mean()) / length
    tokens, labels, reset = (tf.constant(array) for array in (*table, reset))

    def fill(rows, lengths, key):
        chosen = tf.gather(labels, rows)
        inputs = {"tokens": tf.gather(tokens, rows), "reset": tf.gather(reset, rows)}
        return inputs, chosen, tf.cast(chosen != PAD_ID, "float32")

    unknown = share_unknown(documents.values, UNKNOWN_ID)
    lengths = documents.lengths + 1
    return batches.dataset(plan, fill), SplitSummary.of_plan(plan, dropped, lengths, unknown)
