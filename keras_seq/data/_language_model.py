"""Text, by name or from files -> batches for a model of the next token."""

import dataclasses
import os

from keras_seq.data._arguments import (
    check_errors,
    check_kind_or_tokenizer,
    check_one_of,
    check_positive,
)
from keras_seq.data._read_columns import read_columns
from keras_seq.data._row_batches import RowBatches
from keras_seq.data._source import is_text, open_source
from keras_seq.data._splits import complete
from keras_seq.data._task_data import TaskData, unknown_fraction
from keras_seq.data._text_layouts import LAYOUTS
from keras_seq.data._texts import read_text_files, tokenize
from keras_seq.data._token_files import tokens_on_disk
from keras_seq.data.tokenizers import END_ID, PAD_ID, START_ID, UNKNOWN_ID, train_tokenizer

_HELD_OUT = 0.05  # of a single text, for each split that is missing
_LONGEST_DOCUMENT = 1024


@dataclasses.dataclass(repr=False, kw_only=True)
class LanguageModelData(TaskData):
    """What `language_model` returns; `print` shows a summary.

    Attributes:
        train, validation, test: `tf.data.Dataset`s of batches, see `language_model`.
        texts: dict from split name to a list of `str`, the documents; empty with `cache`.
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
    cache="memory",
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
        cache: `"memory"`, or a folder for the token ids of texts larger than that: they are
            tokenized once, some at a time, and batches are read from there (not with
            `"carried"`; with `"packed"` rows are made in memory). The tokenizer is then trained on
            the first 64 Mi characters.
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
    check_one_of("layout", layout, list(LAYOUTS))
    check_errors(errors)
    check_positive(
        vocabulary_size=vocabulary_size,
        sequence_length=sequence_length,
        train_examples=train_examples,
    )
    batches = RowBatches(
        batch_size, max_tokens, length_buckets, static_shapes, seed, 32, "documents"
    )
    if not isinstance(cache, (str, os.PathLike)):
        raise TypeError(f"`cache` must be 'memory' or a folder. Received: {cache!r}")
    if layout == "carried" and cache != "memory":
        raise ValueError(
            "`cache` must be 'memory' for layout='carried', which keeps the text there. Received: "
            f"{cache!r}"
        )
    check_kind_or_tokenizer("tokenizer", tokenizer)
    source = open_source(dataset, data_dir, read_text_files)
    text = source.column("text", text, next(iter(source.supervised), None), is_text, "text")
    options = {"vocabulary_size": vocabulary_size, "lowercase": lowercase}
    if cache != "memory":
        ids, tokenizer, notes = tokens_on_disk(
            source, text, cache, tokenizer, options, errors, train_examples
        )
        texts, first = {}, notes["sample"]
        dropped, unknown = notes["dropped"], notes["unknown"]
    else:
        columns, dropped = read_columns(source, [text], errors=errors, texts=[text])
        texts = {split: _without_empty(c[text], dropped[split]) for split, c in columns.items()}
        texts = _three_splits(texts, dropped, source.name)
        texts["train"] = texts["train"][:train_examples]
        if isinstance(tokenizer, str):
            tokenizer = train_tokenizer(texts["train"], tokenizer, **options)
        ids = {
            split: tokenize(tokenizer, t, f"the {split} split", end=True)
            for split, t in texts.items()
        }
        unknown = {split: unknown_fraction(d.values, UNKNOWN_ID) for split, d in ids.items()}
        first = texts["train"][0]

    if layout == "documents":
        longest = max(int(ids[s].lengths.max(initial=0)) for s in ("train", "validation"))
        length = batches.length(sequence_length, longest, _LONGEST_DOCUMENT)
    else:
        length = sequence_length or 128
        batches.shapes = [(length,)]
    pipelines, summaries = {}, {}
    for split, documents in ids.items():
        pipelines[split], summaries[split] = LAYOUTS[layout](
            split, documents, length, batches, dropped[split]
        )
        summaries[split].unknown = unknown[split]
    return LanguageModelData(
        **pipelines,
        dataset=source.name,
        summaries=summaries,
        sample=(first, f"{ids['train'][0][:12].tolist()}, ..."),
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
