"""Images -> labels, patches for a Vision Transformer, or tokens for an autoregressive model."""

import dataclasses
import os

import numpy as np
import tensorflow_datasets as tfds

from keras_seq.data._arguments import check_errors, check_one_of, check_positive, check_seed
from keras_seq.data._image_batches import (
    batches_in_memory,
    cache_path,
    chosen_records,
    streamed_batches,
)
from keras_seq.data._image_layouts import LAYOUTS, check_patches, form_of, restored
from keras_seq.data._image_records import (
    ImageFolder,
    check_image_size,
    default_image,
    is_image,
    prepared,
    read_splits,
)
from keras_seq.data._source import is_number, is_text, open_source
from keras_seq.data._splits import complete
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
    check_errors(errors)
    check_positive(batch_size=batch_size, train_examples=train_examples)
    check_seed(seed)
    _check_layout(layout, patch_size, levels)
    image_size = check_image_size(image_size)
    if not (cache is None or isinstance(cache, (str, os.PathLike))):
        raise TypeError(f"`cache` must be 'memory', a folder or None. Received: {cache!r}")

    folder = ImageFolder()
    source = open_source(dataset, data_dir, folder.read)
    keys = source.supervised or (None, None)
    is_right = is_text if folder.files else is_image
    image = source.column("image", image, keys[0] or default_image(source), is_right, "images")
    others, names = [], []
    if layout != "tokens":
        label = source.column("label", label, keys[1], is_number, "labels, integers")
        others = [label]
        names += class_names or folder.class_names or _names(source, label)
    records = {s: prepared(d, image, others, image_size) for s, d in source.splits.items()}
    splits, dropped = {}, {}
    for split, columns, shape in read_splits(
        source,
        records,
        _label_check(label, names) if others else lambda record: None,
        dropped,
        files=folder.files,
        errors=errors,
        keep=cache == "memory",
    ):
        check_patches(shape, patch_size)
        splits[split] = columns
        if others and not names:  # the training labels say how many there are
            names += [str(i) for i in range(1 + int(max(columns[label])))]
    splits = complete(splits, "key", dropped)
    splits["train"] = {n: items[:train_examples] for n, items in splits["train"].items()}
    _check_batch_size(batch_size, len(splits["train"]["record"]))

    form = form_of(layout, patch_size, levels)
    pipelines, summaries, pixels, labels = {}, {}, {}, {}
    for split, columns in splits.items():
        count, order = len(columns["record"]), {"shuffle": split == "train", "seed": seed}
        if others:
            labels[split] = np.array(columns[label], "int32")
        if cache == "memory":
            pixels[split] = np.stack(columns["image"])
            pipelines[split], first = batches_in_memory(
                form, pixels[split], labels.get(split), batch_size, **order
            )
        else:
            chosen = source.splits[split if split in source.splits else "train"]
            chosen = prepared(chosen_records(chosen, columns["record"]), image, others, image_size)
            path = cache and cache_path(cache, split, [*columns["key"], labels.get(split, shape)])
            pipelines[split], first = streamed_batches(
                form, chosen, others, shape, path, count, batch_size, **order
            )
        batches = len(pipelines[split])
        summaries[split] = SplitSummary(count, dropped[split], batches, np.ones(count, "int64"))
        if split == "train":
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


def _check_layout(layout, patch_size, levels):
    check_one_of("layout", layout, LAYOUTS)
    check_positive(patch_size=patch_size, levels=levels)
    if (patch_size is None) == (layout == "patches"):
        raise ValueError(
            "`patch_size` must be given for the layout 'patches', and for no other. Received: "
            f"{patch_size} for {layout!r}"
        )
    if levels is None or not 2 <= levels <= 256:
        raise ValueError(f"`levels` must be 2 to 256. Received: {levels}")


def _check_batch_size(batch_size, count):
    if count < batch_size:
        raise ValueError(
            f"`batch_size` must be at most {count}, the number of training images. Received: "
            f"{batch_size}"
        )


def _names(source, label):
    """Names of the classes as TFDS has them, if it does."""
    feature = source.features.get(label)
    return feature.names if isinstance(feature, tfds.features.ClassLabel) else []


def _label_check(label, names):
    """Function from a record to what is wrong with its label, or `None`."""

    def check(record):
        if 0 <= record[label] < (len(names) or np.inf):
            return None
        limit = f"0 to {len(names) - 1}, the numbers of the classes" if names else "0 or more"
        return "unknown_label", f"must have a label of {limit}. Received: {record[label]}"

    return check


def _sample(x, y, shape, names):
    x, y = x.numpy(), y.numpy()
    size = " x ".join(map(str, shape))
    before = f"image of {size}" + (f", {names[y[0]]}" if names else "")
    after = f"{x.dtype} {x[0].shape}, {x[0].min():g} to {x[0].max():g}"
    return before, after + (f", label {y[0]}" if names else f", labels {y[0, :8].tolist()}, ...")
