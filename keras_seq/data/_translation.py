"""Parallel text, by name or from a folder -> batches for a sequence-to-sequence model."""

import dataclasses
import itertools
import os

import tensorflow as tf

from keras_seq.data._batching import choose_shapes, make_batches, merge_small_buckets
from keras_seq.data._load import find_builder
from keras_seq.data._parallel_text import choose_columns, read_splits
from keras_seq.data.tokenizers import END_ID, PAD_ID, START_ID, train_tokenizer
from keras_seq.data.tokenizers._kinds import KINDS

LONGEST_DEFAULT = 128


@dataclasses.dataclass(repr=False)
class TranslationData:
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
        dataset: The name or folder.
        dropped: Dict from split name to `{"empty": ..., "too_long": ...}`, pairs not in its
            batches.
        shapes: The list of `(S, T)` of the batches, one a bucket.
        start_id, end_id, pad_id: 2, 3, 0.
    """

    train: tf.data.Dataset
    validation: tf.data.Dataset
    test: tf.data.Dataset
    texts: dict
    source_tokenizer: object
    target_tokenizer: object
    source_length: int
    target_length: int
    columns: tuple
    dataset: str
    dropped: dict
    shapes: list
    start_id: int = START_ID
    end_id: int = END_ID
    pad_id: int = PAD_ID

    def __repr__(self):
        def count(name):
            dropped = self.dropped[name]
            pairs = len(self.texts[name][0]) - dropped["too_long"]
            reasons = ", ".join(f"{n:,} {why.replace('_', ' ')}" for why, n in dropped.items() if n)
            return f"{pairs:,} pairs" + (f" (dropped: {reasons})" if reasons else "")

        sizes = [t.vocabulary_size() for t in (self.source_tokenizer, self.target_tokenizer)]
        lines = [f"TranslationData: {self.dataset}, {self.columns[0]} -> {self.columns[1]}"]
        lines += [f"  {name:<11} {count(name)}" for name in ("train", "validation", "test")]
        lines.append(f"  vocabulary  source {sizes[0]:,}, target {sizes[1]:,}")
        lines.append(f"  lengths     source {self.source_length}, target {self.target_length}")
        if len(self.shapes) > 1:
            lines.append(f"  buckets     {', '.join(f'{s} x {t}' for s, t in self.shapes)}")
        return "\n".join(lines)


def translation(
    dataset="date_translation",
    *,
    source=None,
    target=None,
    data_dir=None,
    tokenizer="subword",
    vocabulary_size=8000,
    lowercase=False,
    source_length=None,
    target_length=None,
    batch_size=64,
    length_buckets=None,
    seed=0,
    train_examples=None,
    source_tokenizer=None,
    target_tokenizer=None,
):
    """Makes batches for a sequence-to-sequence model from parallel text.

    Texts are tokenized once and kept in memory. All batches have one shape, or with
    `length_buckets` one shape a bucket, because a model compiled with XLA is compiled anew for
    each. No pair is ever cut: what is too long or has an empty side is left out and counted in
    `dropped`. Training batches are full and shuffled anew in each pass (the pairs of the last,
    incomplete batch of a pass wait for the next one); validation and test are complete, and in
    the order of `texts` where there are no buckets. A missing validation or test split is held
    out of the train split, 2 % and at most 2,000 pairs each, the same pairs every time.

    Args:
        dataset: Name of a TFDS dataset, or a folder of parallel text; see `keras_seq.data.load`.
        source, target: Names of the columns. None takes the dataset's `supervised_keys`, else
            its two languages.
        data_dir: Where TFDS keeps its datasets. None means TFDS' own default.
        tokenizer: A kind of `train_tokenizer`: `"subword"`, `"bpe"`, `"wordpiece"`, `"word"`,
            `"character"`, `"byte"` or `"codepoint"`. Trained on the train split.
        vocabulary_size: The greatest number of tokens of each tokenizer.
        lowercase: Whether the tokenizers convert text to lower case (`texts` stay as they are).
        source_length, target_length: Greatest number of ids, the end or start id included. None
            takes the longest of train and validation, rounded up to a multiple of 8, at most 128.
        batch_size: Pairs a batch.
        length_buckets: Rising lengths such as `(16, 32, 64)`: a pair goes to the first bucket
            that holds both its sides, and its batch has that length (or `source_length` or
            `target_length` where that is less). The last bucket limits both lengths. A bucket
            with fewer than `batch_size` training pairs joins the next.
        seed: Seed of the order of the training pairs.
        train_examples: Keep the first so many training pairs only.
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
    numbers = {
        "batch_size": batch_size,
        "vocabulary_size": vocabulary_size,
        "source_length": source_length,
        "target_length": target_length,
        "train_examples": train_examples,
    }
    for argument, value in numbers.items():
        _check_positive(argument, value)
    buckets = _check_buckets(length_buckets)
    _check_tokenizer("source_tokenizer", source_tokenizer, ends=True)
    _check_tokenizer("target_tokenizer", target_tokenizer, ends=False)
    if not isinstance(tokenizer, str) or tokenizer not in KINDS:
        raise ValueError(
            f"`tokenizer` must be one of {sorted(KINDS)}. Received: {tokenizer!r}. Pass a "
            "tokenizer of your own as `source_tokenizer` or `target_tokenizer`."
        )
    columns = choose_columns(find_builder(dataset, data_dir=data_dir), source, target)
    texts, empty = read_splits(dataset, columns, data_dir, train_examples)

    options = {"kind": tokenizer, "vocabulary_size": vocabulary_size, "lowercase": lowercase}
    if source_tokenizer is None:
        source_tokenizer = train_tokenizer(texts["train"][0], add_end=True, **options)
    if target_tokenizer is None:
        target_tokenizer = train_tokenizer(texts["train"][1], **options)
    ids = {
        name: (_tokenize(source_tokenizer, s), _tokenize(target_tokenizer, t))
        for name, (s, t) in texts.items()
    }

    limit = buckets[-1] if buckets else None
    source_length = _length(source_length, [ids[n][0] for n in ("train", "validation")], 0, limit)
    target_length = _length(target_length, [ids[n][1] for n in ("train", "validation")], 1, limit)
    shapes = [(min(b, source_length), min(b, target_length)) for b in buckets]
    shapes = sorted({*shapes, (source_length, target_length)})
    fitting, dropped = {}, {}
    for name in ids:
        fitting[name], too_long = _keep_fitting(*ids[name], shapes[-1])
        dropped[name] = {"empty": empty[name], "too_long": too_long}
    shapes = _training_shapes(fitting["train"], shapes, batch_size, dropped["train"])
    train = make_batches(
        *fitting["train"], shapes, batch_size, shuffle=True, seed=seed, drop_remainder=True
    )
    held_out = {n: make_batches(*fitting[n], shapes, batch_size) for n in ("validation", "test")}
    return TranslationData(
        train=train,
        **held_out,
        texts=texts,
        source_tokenizer=source_tokenizer,
        target_tokenizer=target_tokenizer,
        source_length=source_length,
        target_length=target_length,
        columns=columns,
        dataset=os.fspath(dataset),
        dropped=dropped,
        shapes=shapes,
    )


def _tokenize(tokenizer, texts):
    # In tf.data the tokenizer runs in TensorFlow whatever Keras' backend is.
    if not texts:
        return tf.RaggedTensor.from_row_splits(tf.zeros(0, "int32"), [0])
    with tf.device("cpu"):
        batches = tf.data.Dataset.from_tensor_slices(texts).batch(1024).map(tokenizer)
        return tf.concat([tf.cast(ids, "int32") for ids in batches], axis=0)


def _length(length, ids, extra, limit):
    if length is None:
        longest = max(int(tf.reduce_max(i.row_lengths())) for i in ids if i.nrows() > 0) + extra
        length = min(-(-longest // 8) * 8, limit or LONGEST_DEFAULT)
    return min(length, limit or length)


def _keep_fitting(source, target, shape):
    fits = choose_shapes(source.row_lengths(), target.row_lengths() + 1, [shape]) == 0
    return (tf.ragged.boolean_mask(source, fits), tf.ragged.boolean_mask(target, fits)), int(
        (~fits).sum()
    )


def _training_shapes(ids, shapes, batch_size, dropped):
    source, target = ids
    if source.nrows() < batch_size:
        raise ValueError(
            f"`batch_size` must be at most {int(source.nrows())}, the number of training pairs "
            f"(without {dropped['too_long']} too long and {dropped['empty']} empty ones). "
            f"Received: {batch_size}. Take a smaller one, or greater lengths."
        )
    which = choose_shapes(source.row_lengths(), target.row_lengths() + 1, shapes)
    return merge_small_buckets(which, shapes, batch_size)


def _check_positive(argument, value):
    if value is None and argument not in ("batch_size", "vocabulary_size"):
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"`{argument}` must be a positive int. Received: {value!r}")
    if value <= 0:
        raise ValueError(f"`{argument}` must be a positive int. Received: {value}")


def _check_buckets(buckets):
    if buckets is None:
        return []
    buckets = list(buckets)
    for bucket in buckets:
        _check_positive("length_buckets", bucket)
    if not buckets or any(b <= a for a, b in itertools.pairwise(buckets)):
        raise ValueError(
            f"`length_buckets` must be rising lengths such as (16, 32, 64). Received: {buckets}"
        )
    return buckets


def _check_tokenizer(argument, tokenizer, ends):
    if tokenizer is None:
        return
    try:
        special = [tokenizer.token_to_id(token) for token in ("<pad>", "<s>", "</s>")]
    except AttributeError:
        raise TypeError(
            f"`{argument}` must be a tokenizer of keras_seq.data.train_tokenizer. Received: "
            f"{type(tokenizer).__name__}"
        ) from None
    if special != [PAD_ID, START_ID, END_ID]:
        raise ValueError(
            f"`{argument}` must have the ids {PAD_ID}, {START_ID}, {END_ID} for <pad>, <s>, </s>. "
            f"Received: {special}. Make it with keras_seq.data.train_tokenizer."
        )
    if getattr(tokenizer, "sequence_length", None) is not None:
        raise ValueError(
            f"`{argument}` must have sequence_length=None, as padding comes later. Received: "
            f"{tokenizer.sequence_length}"
        )
    ends_and_starts = [bool(getattr(tokenizer, name, False)) for name in ("add_eos", "add_bos")]
    if ends_and_starts != [ends, False]:
        raise ValueError(
            f"`{argument}` must be made with add_end={ends} and no start id. Received: "
            f"add_eos={ends_and_starts[0]}, add_bos={ends_and_starts[1]}"
        )
