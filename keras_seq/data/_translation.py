"""Parallel text, by name or from a folder -> batches for a sequence-to-sequence model."""

import dataclasses

import numpy as np

from keras_seq.data._arguments import check_errors, check_positive, check_tokenizer
from keras_seq.data._parallel_text import choose_columns
from keras_seq.data._read_columns import read_columns
from keras_seq.data._row_batches import RowBatches
from keras_seq.data._source import open_source
from keras_seq.data._splits import complete, pick
from keras_seq.data._task_data import SplitSummary, TaskData, unknown_fraction
from keras_seq.data._texts import shifted, tokenize
from keras_seq.data.tokenizers import END_ID, PAD_ID, START_ID, UNKNOWN_ID, train_tokenizer
from keras_seq.data.tokenizers._kinds import check_kind

LONGEST_DEFAULT = 128


@dataclasses.dataclass(repr=False, kw_only=True)
class TranslationData(TaskData):
    """What `translation` returns; `print` shows a summary.

    Attributes:
        train, validation, test: `tf.data.Dataset`s of batches `({"source": (B, S), "target":
            (B, T)}, labels (B, T), sample_weight (B, T))`, int32 but for the float32 weights.
            A source is its pieces and the end id, a target the start id and its pieces, a label
            its pieces and the end id; a weight is 1 where there is a label, 0 at padding.
        texts: Dict from split name to `(sources, targets)`, two lists of `str`, with the pairs
            too long for the batches, too.
        source_tokenizer, target_tokenizer: KerasHub tokenizers; the first ends with the end id.
        source_length, target_length: The longest S and T of a batch.
        columns: `(source, target)`, their names in the dataset.
        shapes: The list of `(S, T)` of the batches, one a bucket; `None` where each batch has a
            shape of its own.
        start_id, end_id, pad_id: 2, 3, 0.
        dataset, summaries, dropped, sample: see `describe`.
    """

    texts: dict
    source_tokenizer: object
    target_tokenizer: object
    source_length: int
    target_length: int
    columns: tuple
    shapes: list
    start_id: int = START_ID
    end_id: int = END_ID
    pad_id: int = PAD_ID

    unit = "pairs"

    def _title(self):
        return f"{self.dataset}, {self.columns[0]} -> {self.columns[1]}"

    def _facts(self):
        sizes = [t.vocabulary_size() for t in (self.source_tokenizer, self.target_tokenizer)]
        facts = [
            ("vocabulary", f"source {sizes[0]:,}, target {sizes[1]:,}"),
            ("lengths", f"source {self.source_length}, target {self.target_length}"),
        ]
        if self.shapes and len(self.shapes) > 1:
            facts.append(("buckets", ", ".join(f"{s} x {t}" for s, t in self.shapes)))
        return facts


def translation(
    dataset="date_translation",
    *,
    source=None,
    target=None,
    data_dir=None,
    tokenizer="subword",
    vocabulary_size=8000,
    lowercase=False,
    share_vocabulary=False,
    source_length=None,
    target_length=None,
    batch_size=None,
    max_tokens=None,
    length_buckets=None,
    static_shapes=False,
    seed=0,
    train_examples=None,
    errors="raise",
    source_tokenizer=None,
    target_tokenizer=None,
):
    """Makes batches for a sequence-to-sequence model from parallel text.

    Texts are tokenized once and kept in memory. Batches have one shape, because a model compiled
    with XLA is compiled anew for each; with `length_buckets` or `static_shapes` they have a few;
    with `max_tokens` alone, pairs are sorted by length and each batch is padded to its longest,
    which wastes least. No pair is ever cut: what is too long or has an empty side is left out and
    counted in `dropped`. Training batches are full (but those of `max_tokens` alone) and shuffled
    anew in each pass (the pairs of the last, incomplete batch of a pass wait for the next one);
    validation and test are complete, and in the order of `texts` where there is one shape. A
    missing validation or test split is held out of the train split, 2 % and at most 2,000 pairs
    each, the same pairs every time.

    Args:
        dataset: Name of a TFDS dataset, or a folder of parallel text, see `keras_seq.data.load`;
            a `tf.data.Dataset` of dicts or of `(source, target)`, unbatched; or a dict from split
            name to such datasets.
        source, target: Names of the columns. None takes the dataset's `supervised_keys`, else
            its two languages.
        data_dir: Where TFDS keeps its datasets. None means TFDS' own default.
        tokenizer: A kind of `train_tokenizer`: `"subword"`, `"bpe"`, `"wordpiece"`, `"word"`,
            `"character"`, `"byte"` or `"codepoint"`. Trained on the train split.
        vocabulary_size: The greatest number of tokens of each tokenizer.
        lowercase: Whether the tokenizers convert text to lower case (`texts` stay as they are).
        share_vocabulary: Whether both sides have the same tokens, from a tokenizer trained on the
            texts of both, so that a model can share their embedding.
        source_length, target_length: Greatest number of ids, the end or start id included. None
            takes the longest of train and validation, rounded up to a multiple of 8, at most 128.
        batch_size: Pairs a batch, with `max_tokens` at most. None means 64, or as many as
            `max_tokens` lets in.
        max_tokens: Pairs times the longer side of a batch at most, padding included: short pairs
            come in batches of many.
        length_buckets: Rising lengths such as `(16, 32, 64)`: a pair goes to the first bucket
            that holds both its sides, and its batch has that length (or `source_length` or
            `target_length` where that is less). The last bucket limits both lengths. A bucket
            with fewer than `batch_size` training pairs joins the next.
        static_shapes: Whether batches have few shapes, each with one number of pairs, as XLA and
            TPUs want it: `length_buckets`, or eight at most that fit the data.
        seed: Seed of the order of the training pairs.
        train_examples: Keep the first so many training pairs only.
        errors: `"raise"`, or `"skip"` to leave out and count records that cannot be read.
        source_tokenizer, target_tokenizer: Tokenizers of `train_tokenizer` or `load_tokenizer` to
            use instead of training new ones; the source's with `add_end=True`, the target's
            without.

    Returns:
        A `TranslationData`.

    Raises:
        TypeError: If a number is not an integer, or `dataset` neither a name nor a path.
        ValueError: If there is no such dataset, column or kind of tokenizer, a number is not
            positive, a tokenizer has other special ids, or no pairs fit.

    Example:

    ```python
    from keras_seq.data import translation

    data = translation("date_translation", tokenizer="character", batch_size=32)
    print(data)
    inputs, labels, weights = next(iter(data.train))
    assert inputs["source"].shape == (32, data.source_length)
    ```
    """
    check_positive(
        vocabulary_size=vocabulary_size,
        source_length=source_length,
        target_length=target_length,
        train_examples=train_examples,
    )
    check_errors(errors)
    batches = RowBatches(batch_size, max_tokens, length_buckets, static_shapes, seed, 64, "pairs")
    check_tokenizer("source_tokenizer", source_tokenizer, ends=True)
    check_tokenizer("target_tokenizer", target_tokenizer, ends=False)
    check_kind("tokenizer", tokenizer)

    opened = open_source(dataset, data_dir)
    names = choose_columns(opened, source, target)
    columns, dropped = read_columns(opened, names, errors=errors, texts=names)
    for split, pairs in columns.items():
        columns[split] = _without_empty(pairs, dropped[split])
    if not columns["train"][names[0]]:
        raise ValueError(
            f"The dataset {opened.name!r} must have pairs in the columns {names} of its split "
            f"'train'. Received: none with two sides ({dropped['train']})"
        )
    columns = complete(columns, names[0], dropped)
    texts = {split: tuple(pairs[name] for name in names) for split, pairs in columns.items()}
    texts["train"] = tuple(column[:train_examples] for column in texts["train"])

    options = {"kind": tokenizer, "vocabulary_size": vocabulary_size, "lowercase": lowercase}
    source_texts, target_texts = texts["train"]
    if share_vocabulary:
        source_texts = target_texts = [*source_texts, *target_texts]
    if source_tokenizer is None:
        source_tokenizer = train_tokenizer(source_texts, add_end=True, **options)
    if target_tokenizer is None:
        target_tokenizer = train_tokenizer(target_texts, **options)
    ids = {
        split: (
            tokenize(source_tokenizer, sources, f"{split} sources"),
            tokenize(target_tokenizer, targets, f"{split} targets", end=True),
        )
        for split, (sources, targets) in texts.items()
    }

    longest = np.concatenate([_lengths(ids["train"]), _lengths(ids["validation"])]).max(axis=0)
    source_length = batches.length(source_length, int(longest[0]), LONGEST_DEFAULT)
    target_length = batches.length(target_length, int(longest[1]), LONGEST_DEFAULT)
    longest = (source_length, target_length)
    for split in ids:
        ids[split] = _keep_fitting(ids[split], longest, dropped[split])
    if max_tokens is None and not (length_buckets or static_shapes):
        batches.shapes = [longest]
    else:
        batches.choose_shapes(_lengths(ids["train"]), longest)
    datasets, summaries = {}, {}
    for split, pairs in ids.items():
        datasets[split], plan = batches.make(split, _lengths(pairs), _filler(*pairs))
        unknown = unknown_fraction(np.concatenate([p.values for p in pairs]), UNKNOWN_ID)
        longer = _lengths(pairs).max(axis=1)
        summaries[split] = SplitSummary.of_plan(plan, dropped[split], longer, unknown)
    first = tuple(column[0] for column in texts["train"])
    return TranslationData(
        **datasets,
        dataset=opened.name,
        summaries=summaries,
        sample=(" -> ".join(first), _sample(first, source_tokenizer, target_tokenizer)),
        texts=texts,
        source_tokenizer=source_tokenizer,
        target_tokenizer=target_tokenizer,
        source_length=source_length,
        target_length=target_length,
        columns=names,
        shapes=batches.shapes,
    )


def _without_empty(pairs, dropped):
    sides = zip(*pairs.values(), strict=True)
    full = [all(text.strip() for text in both) for both in sides]
    dropped["empty"] = len(full) - sum(full)
    return {name: pick(texts, full) for name, texts in pairs.items()}


def _lengths(pairs):
    """(N, 2) integers: S and T of each pair."""
    return np.column_stack([side.lengths for side in pairs])


def _keep_fitting(pairs, longest, dropped):
    fits = np.all(_lengths(pairs) <= longest, axis=1)
    dropped["too_long"] = int((~fits).sum())
    return tuple(side.where(fits) for side in pairs)


def _filler(source, target):
    """Function for `make_dataset`: inputs, labels and weights of a batch."""
    sources, targets = source.padded(), shifted(target)

    def fill(rows, lengths, key):
        target, labels, weights = targets(rows, lengths[1])
        return {"source": sources(rows, lengths[0]), "target": target}, labels, weights

    return fill


def _sample(pair, *tokenizers):
    ids = (tokenize(t, [text])[0].tolist() for t, text in zip(tokenizers, pair, strict=True))
    return " -> ".join(map(str, ids))
