"""Images with captions -> batches for a captioner."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_seq.data._arguments import (
    check_errors,
    check_kind_or_tokenizer,
    check_one_of,
    check_positive,
)
from keras_seq.data._caption_folder import CaptionFolder
from keras_seq.data._image_records import (
    check_image_size,
    default_image,
    is_image,
    prepared,
    read_splits,
)
from keras_seq.data._row_batches import RowBatches
from keras_seq.data._source import is_text, open_source
from keras_seq.data._splits import complete, pick
from keras_seq.data._task_data import SplitSummary, TaskData, unknown_fraction
from keras_seq.data._texts import shifted, tokenize
from keras_seq.data.tokenizers import END_ID, PAD_ID, START_ID, UNKNOWN_ID, train_tokenizer

_LONGEST_DEFAULT = 128


@dataclasses.dataclass(repr=False, kw_only=True)
class CaptionData(TaskData):
    """What `captions` returns; `print` shows a summary.

    Attributes:
        train, validation, test: `tf.data.Dataset`s of batches, see `captions`.
        pixels: dict from split to (I, H, W, C), the images as they came (resized), in order.
        texts: dict from split to a list with the list of captions of each image, those too long for
            the batches among them; the references for a score of generated captions.
        image_of: dict from split to (N,) integers: the image of each example.
        tokenizer: KerasHub tokenizer.
        image_shape: `(H, W, C)`.
        text_length: T, the greatest number of time steps of a caption.
        shapes: list of the T of the batches, or `None` where each is padded to its longest.
        vocabulary_size: V, the number of token ids.
        start_id, end_id, pad_id: 2, 3, 0.
        dataset, summaries, dropped, sample: see `describe`.

    Example:

    ```python
    import numpy as np
    import tensorflow as tf
    from keras_seq.data import captions

    pixels = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3)).astype("uint8")
    texts = [[f"a red square and {i} dots", f"{i} dots"] for i in range(50)]
    dataset = tf.data.Dataset.from_tensor_slices({"image": pixels, "captions": texts})
    data = captions(dataset, tokenizer="character", batch_size=8)
    inputs, labels, weights = next(iter(data.test))
    text = data.tokenizer.detokenize(inputs["text"][0, 1 : int(sum(weights[0]))])
    assert text in data.texts["test"][data.image_of["test"][0]]
    ```
    """

    pixels: dict
    texts: dict
    image_of: dict
    tokenizer: object
    image_shape: tuple
    text_length: int
    shapes: list | None
    vocabulary_size: int
    captions_per_image: str
    start_id: int = START_ID
    end_id: int = END_ID
    pad_id: int = PAD_ID

    unit = "captions"

    def _count(self, split):
        drawn = split == "train" and self.captions_per_image == "one"
        images = "" if drawn else f" of {len(self.pixels[split]):,} images"
        counted = super()._count(split)
        unit = "images, a caption drawn for each" if drawn else f"{self.unit}{images}"
        return counted.replace(self.unit, unit, 1)

    def _facts(self):
        facts = [
            ("images", " x ".join(map(str, self.image_shape))),
            ("vocabulary", f"{self.vocabulary_size:,}"),
            ("lengths", f"{self.text_length:,}"),
        ]
        if self.shapes and len(self.shapes) > 1:
            facts.append(("buckets", ", ".join(map(str, self.shapes))))
        return facts


def captions(
    dataset,
    *,
    image=None,
    text=None,
    image_size=None,
    data_dir=None,
    tokenizer="subword",
    vocabulary_size=8000,
    lowercase=False,
    text_length=None,
    captions_per_image="all",
    batch_size=None,
    max_tokens=None,
    length_buckets=None,
    static_shapes=False,
    seed=0,
    train_examples=None,
    errors="raise",
):
    """Makes batches for a captioner, a model of the next token of a caption given its image.

    Images stay in memory as the integers that they are, each one once, and become floats batch by
    batch; resize large ones with `image_size`. The tokenizer is trained on the captions of the
    train split alone. A missing validation or test split is held out of it, by a hash of the
    pixels: all captions of an image go with it. What is too long or empty is left out and counted.

    Args:
        dataset: name of a TFDS dataset; a folder of images with a table of their captions,
            `metadata.csv`, `metadata.jsonl` or `captions.txt` (comma separated), whose columns are
            `file_name` or `image`, and `text` or `caption`, or of folders `train`, `validation`,
            `test` with such; a `tf.data.Dataset` of dicts or of `(image, text)`; or a dict from
            split to such datasets.
        image: name of the column with the images. `None` takes the only one there is.
        text: name of the column with the captions, one or several an example, such as
            `"captions/text"` for COCO. `None` likewise.
        image_size: `(height, width)` to resize to, or `(height, width, channels)`. `None` takes
            images as they are, which must all have one size.
        data_dir: where TFDS keeps its datasets.
        tokenizer: a kind of `train_tokenizer`, or a tokenizer that it gave, with `add_end=False`.
        vocabulary_size: the greatest number of pieces.
        lowercase: whether the tokenizer converts text to lower case.
        text_length: T, the greatest number of ids of a caption, the start id included. `None` takes
            the longest training caption, rounded up to a multiple of 8, at most 128.
        captions_per_image: `"all"`, each caption is an example; or `"one"`, each training image is
            one, with another of its captions in each pass. Validation and test have all.
        batch_size: rows of a batch, with `max_tokens` at most. `None` means 32, or as many as
            `max_tokens` lets in.
        max_tokens: rows times T of a batch at most, padding included.
        length_buckets: rising lengths such as `(8, 16, 32)`: a caption goes to the first that holds
            it, and batches have these lengths only. The last one limits T.
        static_shapes: whether batches have few shapes, each of one number of rows, as XLA and TPUs
            want it. Without it, `max_tokens` and `length_buckets`, all batches have length T.
        seed: int; the order of the training examples.
        train_examples: keep the first so many training images only.
        errors: `"raise"`, or `"skip"` to leave out and count records that cannot be read.

    Returns:
        A `CaptionData`. Batches are `({"image": (B, H, W, C), "text": (B, T)}, labels (B, T),
        sample_weight (B, T))`: images are float32 in 0 to 1; a text is the start id and its pieces,
        its labels are the pieces and the end id, int32; weights are 1 where there is a label and 0
        at padding, float32. Training batches are full (but those of `max_tokens` without
        `static_shapes`) and shuffled anew in each pass; validation and test are in order where
        there are no buckets.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if there is no such dataset or column, an argument is out of range, a record
            cannot be used, or there are too few captions for one batch.

    Example:

    ```python
    import numpy as np
    import tensorflow as tf
    from keras_seq.data import captions

    pixels = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3)).astype("uint8")
    texts = [f"a picture with the number {i}" for i in range(50)]
    dataset = tf.data.Dataset.from_tensor_slices({"image": pixels, "caption": texts})
    data = captions(dataset, tokenizer="character", batch_size=8)
    print(data.describe())
    inputs, labels, weights = next(iter(data.train))
    assert inputs["image"].shape == (8, 8, 8, 3) and inputs["text"].shape == labels.shape
    ```
    """
    check_one_of("captions_per_image", captions_per_image, ("all", "one"))
    check_errors(errors)
    check_positive(
        vocabulary_size=vocabulary_size, text_length=text_length, train_examples=train_examples
    )
    batches = RowBatches(
        batch_size, max_tokens, length_buckets, static_shapes, seed, 32, "captions"
    )
    check_kind_or_tokenizer("tokenizer", tokenizer)
    image_size = check_image_size(image_size)

    folder = CaptionFolder()
    source = open_source(dataset, data_dir, folder.read)
    keys = ("image", "text") if folder.files else source.supervised or (None, None)
    is_right = is_text if folder.files else is_image
    image = source.column("image", image, keys[0] or default_image(source), is_right, "images")
    text = source.column("text", text, keys[1], _is_texts, "texts")
    columns, dropped = _read(source, image, text, image_size, errors, folder.files)
    columns = complete(columns, "key", dropped)
    columns["train"] = {n: items[:train_examples] for n, items in columns["train"].items()}
    texts = {split: column[text] for split, column in columns.items()}
    flat = {split: [t for image in images for t in image] for split, images in texts.items()}
    if isinstance(tokenizer, str):
        tokenizer = train_tokenizer(flat["train"], tokenizer, vocabulary_size, lowercase)
    ids = {s: tokenize(tokenizer, t, f"{s} captions", end=True) for s, t in flat.items()}
    length = batches.length(text_length, int(ids["train"].lengths.max()), _LONGEST_DEFAULT)

    pipelines, summaries, pixels, image_of = {}, {}, {}, {}
    for split, pieces in ids.items():
        fits = pieces.lengths <= length
        dropped[split]["too_long"] = int((~fits).sum())
        pieces, image_of[split] = pieces.where(fits), _image_of(texts[split])[fits]
        pixels[split] = np.stack(columns[split]["image"])
        drawn = split == "train" and captions_per_image == "one"
        make_fill = _fill_drawn if drawn else _fill
        fill, lengths = make_fill(pixels[split], image_of[split], pieces)
        if split == "train":
            if max_tokens is None and not (length_buckets or static_shapes):
                batches.shapes = [(length,)]
            else:
                batches.choose_shapes(lengths, (length,))
        pipelines[split], plan = batches.make(split, lengths, fill)
        unknown = unknown_fraction(pieces.values, UNKNOWN_ID)
        summaries[split] = SplitSummary.of_plan(plan, dropped[split], lengths[:, 0], unknown)
    shape = pixels["train"].shape[1:]
    size = " x ".join(map(str, shape))
    return CaptionData(
        **pipelines,
        dataset=source.name,
        summaries=summaries,
        sample=(
            f"image of {size}, {texts['train'][0][0]!r}",
            f"float32 {shape}, {[START_ID, *ids['train'][0][:-1].tolist()]}",
        ),
        pixels=pixels,
        texts=texts,
        image_of=image_of,
        tokenizer=tokenizer,
        image_shape=shape,
        text_length=length,
        shapes=batches.shapes and [length for (length,) in batches.shapes],
        vocabulary_size=tokenizer.vocabulary_size(),
        captions_per_image=captions_per_image,
    )


def _is_texts(spec):
    """Whether a column holds one text an example, or several."""
    return spec.dtype == tf.string and spec.shape.rank in (0, 1)


def _read(source, image, text, image_size, errors, files):
    """Images, lists of captions, and keys of each split; and counts of what was left out."""

    def check(record):
        try:
            record[text] = [t.decode("utf-8") for t in np.atleast_1d(record[text]).tolist()]
        except UnicodeDecodeError as error:
            return "not_utf8", f"must have UTF-8 in column {text!r}. Received: {error.object[:40]}"

    datasets = {s: prepared(d, image, [text], image_size) for s, d in source.splits.items()}
    columns, dropped = {}, {}
    read = read_splits(source, datasets, check, dropped, files=files, errors=errors)
    for split, records, _ in read:
        full = [[t for t in captions if t.strip()] for captions in records[text]]
        dropped[split]["empty"] = sum(map(len, records[text])) - sum(map(len, full))
        dropped[split]["without_captions"] = sum(not captions for captions in full)
        records[text] = full
        columns[split] = {n: pick(items, list(map(bool, full))) for n, items in records.items()}
        if not columns[split]["key"]:
            raise ValueError(
                f"The split {split!r} of {source.name!r} must have captions in column {text!r}. "
                f"Received: none that is not empty"
            )
    return columns, dropped


def _image_of(texts):
    """(N,) integers: the image of each caption."""
    return np.repeat(np.arange(len(texts)), [len(captions) for captions in texts])


def _fill(pixels, image_of, pieces):
    """What fills batches of captions, and their lengths, (N, 1)."""
    pixels, image_of = tf.constant(pixels), tf.constant(image_of)
    of_captions = shifted(pieces)

    def fill(rows, lengths, key):
        images = tf.gather(pixels, tf.gather(image_of, rows))
        inputs, labels, weights = of_captions(rows, lengths[0])
        images = tf.image.convert_image_dtype(images, "float32")
        return {"image": images, "text": inputs}, labels, weights

    return fill, pieces.lengths[:, None]


def _fill_drawn(pixels, image_of, pieces):
    """What fills batches of images, each with one of its captions; and the longest of each."""
    of_captions, lengths = _fill(pixels, image_of, pieces)
    begins = np.flatnonzero(np.diff(image_of, prepend=-1))
    longest = np.maximum.reduceat(lengths, begins)
    counts = tf.constant(np.diff([*begins, len(image_of)]).astype("float32"))
    begins = tf.constant(begins)

    def fill(rows, lengths, key):
        seed = tf.stack([key[0], key[1] + rows[0]])  # another in each pass and batch
        drawn = tf.random.stateless_uniform(tf.shape(rows), seed)
        which = tf.floor(drawn * tf.gather(counts, rows))
        captions = tf.gather(begins, rows) + tf.cast(which, begins.dtype)
        return of_captions(tf.ensure_shape(captions, rows.shape), lengths, key)

    return fill, longest
