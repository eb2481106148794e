"""Images -> labels, patches for a Vision Transformer, or tokens for an autoregressive model."""

import dataclasses
import hashlib
import os

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_seq.data._arguments import check_one_of, check_positive
from keras_seq.data._batch_plan import plan_batches
from keras_seq.data._image_layouts import LAYOUTS, check_patches, form_of, restored
from keras_seq.data._image_records import (
    ImageFolder,
    check_image_size,
    default_image,
    is_image,
    prepared,
    read_records,
)
from keras_seq.data._pipeline import make_dataset
from keras_seq.data._source import check_errors, is_number, is_text, open_source
from keras_seq.data._splits import complete
from keras_seq.data._streaming import copied, stream
from keras_seq.data._task_data import SplitSummary, TaskData


@dataclasses.dataclass(repr=False, kw_only=True)
class ImageData(TaskData):
    """What `images` returns; `print` shows a summary.

    Attributes:
        train, validation, test: `tf.data.Dataset`s of batches, see `images`.
        layout, patch_size, levels: as passed.
        image_shape: `(H, W, C)`.
        class_names: tuple of `str`, the name of each label, or `None` for tokens.
        pixels: dict from split to (N, H, W, C), the images as they came (resized), in order; empty
            where they are not in memory.
        labels: dict from split to (N,) int32, their labels; empty for tokens.
        dataset, summaries, dropped, sample: see `describe`.

    Example:

    ```python
    import numpy as np
    import tensorflow as tf
    from keras_seq.data import images

    pixels = np.random.default_rng(0).integers(0, 256, (200, 4, 4, 1)).astype("uint8")
    dataset = tf.data.Dataset.from_tensor_slices({"image": pixels})
    data = images(dataset, layout="tokens", levels=256)
    inputs, labels = next(iter(data.validation))
    restored = data.to_images(labels)
    np.testing.assert_allclose(restored, data.pixels["validation"] / 255, atol=1e-6)
    assert inputs[0, 0] == data.start_id
    ```
    """

    layout: str
    image_shape: tuple
    class_names: tuple | None
    patch_size: int | None
    levels: int | None
    pixels: dict
    labels: dict

    unit = "images"

    @property
    def vocabulary_size(self):
        """Number of token ids, the start id among them; `None` without tokens."""
        return None if self.levels is None else self.levels + 1

    @property
    def start_id(self):
        """The id before the first pixel: the number of levels; `None` without tokens."""
        return self.levels

    @property
    def sequence_length(self):
        """Number of patches or of pixels times channels; `None` for whole images."""
        height, width, channels = self.image_shape
        if self.layout == "patches":
            return height * width // self.patch_size**2
        return height * width * channels if self.layout == "tokens" else None

    def to_images(self, x):
        """Inputs, or labels that are tokens -> images, such as for a picture of them.

        Args:
            x: (B, H, W, C) pixels, (B, N, P·P·C) patches, or (B, H·W·C) token ids from 0 to
                `levels - 1`.

        Returns:
            NumPy array (B, H, W, C), float32 in 0 to 1.
        """
        return restored(x, self.layout, self.image_shape, self.patch_size, self.levels)

    def _histogram(self):
        if not self.labels:
            return None, None, None
        return "labels", "numbers of classes", self.labels["train"]

    def _facts(self):
        facts = [("size", " x ".join(map(str, self.image_shape)))]
        if self.class_names is not None:
            names = ", ".join(self.class_names[:10]) + ", ..." * (len(self.class_names) > 10)
            facts.append(("classes", f"{len(self.class_names):,}: {names}"))
        if self.layout == "patches":
            facts.append(("patches", f"{self.sequence_length:,} of {self.patch_size} squared"))
        if self.layout == "tokens":
            facts.append(("tokens", f"{self.sequence_length:,} of {self.levels} levels"))
        return facts


def images(
    dataset,
    *,
    image=None,
    label=None,
    layout="pixels",
    patch_size=None,
    levels=16,
    image_size=None,
    class_names=None,
    data_dir=None,
    batch_size=32,
    cache="memory",
    seed=0,
    train_examples=None,
    errors="raise",
):
    """Makes batches of images for a classifier or an autoregressive model.

    Three layouts:

    - `"pixels"`: `(images, labels)`, (B, H, W, C) float32 in 0 to 1, and (B,) int32.
    - `"patches"`: `(patches, labels)`, (B, N, P·P·C), each image cut into N squares of P x P
      pixels in raster order, for a Vision Transformer.
    - `"tokens"`: `(tokens, labels)`, (B, H·W·C) int32 both: pixels in raster order, the channels of
      each one after the other, quantized to `levels`; the inputs begin with the start id, and a
      label is the token after (as in Image GPT). Labels of classes are not read.

    Images stay the integers that they are, and become floats batch by batch. A missing validation
    or test split is held out of train, by a hash of the pixels.

    Args:
        dataset: name of a TFDS dataset; a folder of folders of images, one a class, or of folders
            `train`, `validation`, `test` with such folders; a `tf.data.Dataset` of dicts or of
            `(image, label)`; or a dict from split to such datasets. Pixels are integers, or floats
            in 0 to 1, (H, W) or (H, W, C).
        image: name of the column with the images. `None` takes the only one there is.
        label: name of the column with the labels, integers. `None` likewise.
        layout: `"pixels"`, `"patches"` or `"tokens"`.
        patch_size: P, which divides the height and width.
        levels: number of tokens that a pixel's value is quantized to, 2 to 256.
        image_size: `(height, width)` to resize to, or `(height, width, channels)`. `None` takes
            images as they are, which must all have one size.
        class_names: names of the classes. `None` takes the dataset's own, or the numbers of the
            training labels.
        data_dir: where TFDS keeps its datasets.
        batch_size: rows of a batch.
        cache: `"memory"`; `None` to read the images anew in each pass; or a folder, one for each
            dataset, for a copy of them after decoding and resizing. Outside memory, training
            images are shuffled within a window of at most 10,000 or 256 MiB, and all are read once
            here, for their labels and sizes.
        seed: int; the order of the training images.
        train_examples: keep the first so many training images only.
        errors: `"raise"`, or `"skip"` to leave out and count images that cannot be read, have
            another size than the first, or a label out of range.

    Returns:
        An `ImageData`. Training batches are full and shuffled anew in each pass; validation and
        test are in order.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if there is no such dataset or column, an argument is out of range, or a record
            cannot be used.

    References:
        - [Dosovitskiy et al., 2021](https://arxiv.org/abs/2010.11929), patches
        - [Chen et al., 2020](https://proceedings.mlr.press/v119/chen20s.html), tokens

    Example:

    ```python
    import numpy as np
    import tensorflow as tf
    from keras_seq.data import images

    pixels = np.random.default_rng(0).integers(0, 256, (200, 28, 28, 1)).astype("uint8")
    dataset = tf.data.Dataset.from_tensor_slices({"image": pixels, "label": np.arange(200) % 10})
    data = images(dataset, layout="patches", patch_size=7, batch_size=16)
    print(data.describe())
    patches, labels = next(iter(data.train))
    assert patches.shape == (16, 16, 49) and labels.shape == (16,)
    ```
    """
    check_one_of("layout", layout, LAYOUTS)
    check_errors(errors)
    check_positive(
        batch_size=batch_size, patch_size=patch_size, train_examples=train_examples, levels=levels
    )
    if (patch_size is None) == (layout == "patches"):
        raise ValueError(
            "`patch_size` must be given for the layout 'patches', and for no other. Received: "
            f"{patch_size} for {layout!r}"
        )
    if not 2 <= levels <= 256:
        raise ValueError(f"`levels` must be 2 to 256. Received: {levels}")
    image_size = check_image_size(image_size)
    if not (cache is None or isinstance(cache, (str, os.PathLike))):
        raise TypeError(f"`cache` must be 'memory', a folder or None. Received: {cache!r}")

    folder = ImageFolder()
    source = open_source(dataset, data_dir, folder.read)
    keys = source.supervised or (None, None)
    is_right = is_text if folder.files else is_image
    image = source.column("image", image, keys[0] or default_image(source), is_right, "images")
    others, names = [], None
    if layout != "tokens":
        label = source.column("label", label, keys[1], is_number, "labels, integers")
        others, names = [label], class_names or folder.class_names or _names(source, label)
    records = {s: prepared(d, image, others, image_size) for s, d in source.splits.items()}
    splits, dropped, shape = {}, {}, None
    for split in sorted(records, key=lambda split: split != "train"):
        dropped[split] = {}
        splits[split], shape = read_records(
            source,
            split,
            records[split],
            _label_check(label, names) if others else lambda record: None,
            dropped[split],
            shape=shape,
            files=folder.files.get(split, ()),
            errors=errors,
            keep=cache == "memory",
        )
        if others and not names:  # the training labels say how many there are
            names = [str(i) for i in range(1 + int(max(splits[split][label])))]
    check_patches(shape, patch_size)
    splits = complete(splits, "key", dropped)
    if train_examples is not None:
        splits["train"] = {n: items[:train_examples] for n, items in splits["train"].items()}

    form = form_of(layout, patch_size, levels)
    pipelines, summaries, pixels, labels = {}, {}, {}, {}
    for split, columns in splits.items():
        train, count = split == "train", len(columns["record"])
        if train and count < batch_size:
            raise ValueError(
                f"`batch_size` must be at most {count}, the number of training images. Received: "
                f"{batch_size}"
            )
        if others:
            labels[split] = np.array(columns[label], "int32")
        if cache == "memory":
            pixels[split] = np.stack(columns["image"])
            plan = plan_batches(
                np.ones((count, 1), "int64"), batch_size=batch_size, shapes=[(1,)], drop_last=train
            )
            fill = _fill(form, pixels[split], labels.get(split))
            pipelines[split] = make_dataset(plan, fill, shuffle=train, seed=seed)
            batches, first = len(plan), fill(np.array([0]), None, None)
        else:
            origin = split if split in source.splits else "train"
            chosen = _chosen(source.splits[origin], columns["record"])
            chosen = _of_shape(prepared(chosen, image, others, image_size), shape)
            if cache is not None:
                content = [*columns["key"], labels.get(split, shape)]
                chosen = copied(chosen, _cache_path(cache, split, content))

            def fill(row):
                return form(row["image"], *(tf.cast(row[name], "int32") for name in others))

            pipelines[split], batches = stream(
                chosen, fill, count, batch_size, shuffle=train, seed=seed
            )
            first = fill(next(iter(chosen.batch(1))))
        summaries[split] = SplitSummary(count, dropped[split], batches, np.ones(count, "int64"))
        if train:
            sample = _sample(*first, shape, names)
    return ImageData(
        **pipelines,
        dataset=source.name,
        summaries=summaries,
        sample=sample,
        layout=layout,
        image_shape=shape,
        class_names=tuple(names) if names else None,
        patch_size=patch_size,
        levels=levels if layout == "tokens" else None,
        pixels=pixels,
        labels=labels,
    )


def _names(source, label):
    """Names of the classes as TFDS has them, or `None`."""
    feature = source.features.get(label)
    return list(feature.names) if isinstance(feature, tfds.features.ClassLabel) else None


def _label_check(label, names):
    """Function from a record to what is wrong with its label, or `None`."""
    count = len(names) if names else np.inf

    def check(record):
        if 0 <= record[label] < count:
            return None
        limit = f"0 to {count - 1}, the numbers of the classes" if names else "0 or more"
        return "unknown_label", f"must have a label of {limit}. Received: {record[label]}"

    return check


def _fill(form, pixels, labels):
    pixels = tf.constant(pixels)
    others = [] if labels is None else [tf.constant(labels)]

    def fill(rows, lengths, key):
        return form(tf.gather(pixels, rows), *(tf.gather(column, rows) for column in others))

    return fill


def _of_shape(dataset, shape):
    return dataset.map(lambda row: {**row, "image": tf.ensure_shape(row["image"], shape)})


def _chosen(dataset, records):
    """The records of these numbers, in order."""
    keep = np.zeros(max(records) + 2, bool)
    keep[records] = True
    keep, last = tf.constant(keep), len(keep) - 1

    def is_chosen(number, row):
        return tf.gather(keep, tf.minimum(number, last))

    return dataset.enumerate().filter(is_chosen).map(lambda number, row: row)


def _cache_path(folder, split, content):
    """Of a split's copy: another content has another name."""
    os.makedirs(folder, exist_ok=True)
    digest = hashlib.blake2b(digest_size=16)
    for item in content:
        digest.update(item if isinstance(item, bytes) else np.asarray(item).tobytes())
    return os.path.join(os.fspath(folder), f"{split}-{digest.hexdigest()}")


def _sample(x, y, shape, names):
    x, y = x.numpy(), y.numpy()
    size = " x ".join(map(str, shape))
    before = f"image of {size}" + (f", {names[y[0]]}" if names else "")
    after = f"{x.dtype} {x[0].shape}, {x[0].min():g} to {x[0].max():g}"
    return before, after + (f", label {y[0]}" if names else f", labels {y[0, :8].tolist()}, ...")
