"""Images of any source, one record after the other: of one size, checked, in memory or streamed."""

import glob
import hashlib
import os

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_seq.data._pipeline import WORKERS, without_autotuning
from keras_seq.data._progress import progress_bar
from keras_seq.data._source import listed
from keras_seq.data._splits import our_splits

_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_BATCH = 256  # records read at a time


def is_image(spec):
    """Whether a column holds one image an example: pixels (H, W) or (H, W, C)."""
    return (spec.dtype.is_integer or spec.dtype.is_floating) and spec.shape.rank in (2, 3)


def default_image(source):
    """The column that TFDS says has images, or `None`."""
    named = [c for c, f in source.features.items() if isinstance(f, tfds.features.Image)]
    return named[0] if len(named) == 1 else None


class ImageFolder:
    """Reader of folders of images, one folder a class, for `open_source`.

    Attributes:
        class_names: sorted names of the folders of the train split, after `read`.
        files: dict from split to a list of paths, one a record.
    """

    def __init__(self):
        self.class_names, self.files = None, {}

    def read(self, path):
        """Lists `path/class/*.png` as the train split, or `path/split/class/*.png`.

        Returns:
            Dict from split to a `tf.data.Dataset` of `{"image": path, "label": class number}`.
        """
        splits = our_splits({name: os.path.join(path, name) for name in _folders(path)})
        splits = splits or {"train": path}
        self.class_names = _folders(splits.get("train", path))
        datasets = {}
        for split, folder in splits.items():
            others = sorted(set(_folders(folder)) - set(self.class_names))
            if others:
                raise ValueError(
                    f"Each class of {folder!r} must have a folder of training images. Received: "
                    f"{others[:5]} without one"
                )
            files, labels = [], []
            for label, name in enumerate(self.class_names):
                pattern = os.path.join(glob.escape(os.path.join(folder, name)), "**", "*")
                found = sorted(glob.glob(pattern, recursive=True))
                found = [file for file in found if file.lower().endswith(_ENDINGS)]
                files += found
                labels += [label] * len(found)
            if not files:
                raise ValueError(
                    f"The folder {folder!r} must hold a folder for each class with images, "
                    f"{', '.join(_ENDINGS)}. Received: {_folders(folder)[:5] or 'no folders'}"
                )
            self.files[split] = files
            datasets[split] = tf.data.Dataset.from_tensor_slices({"image": files, "label": labels})
        return datasets


def _folders(path):
    return [n for n in listed(path, "images") if os.path.isdir(os.path.join(path, n))]


def check_image_size(image_size):
    """`image_size` as a tuple: empty, `(H, W)` or `(H, W, C)`."""
    size = () if image_size is None else tuple(np.atleast_1d(image_size).tolist())
    if len(size) not in (0, 2, 3) or not all(isinstance(n, int) and n > 0 for n in size):
        raise ValueError(
            "`image_size` must be (height, width) or (height, width, channels), positive ints. "
            f"Received: {image_size!r}"
        )
    return size


def prepared(dataset, image, others, image_size):
    """The dataset with images of (H, W, C), resized where a size is given.

    Args:
        dataset: a `tf.data.Dataset` of dicts.
        image: name of the column with images, or with the paths of image files.
        others: names of further columns to keep.
        image_size: of `check_image_size`.

    Returns:
        A `tf.data.Dataset` of `{"image": (H, W, C), ...}`; H, W and C are known if `image_size` or
        the dataset says so.
    """
    channels = image_size[2] if len(image_size) == 3 else 0

    def prepare(row):
        pixels = row[image]
        if pixels.dtype == tf.string:
            pixels = tf.io.decode_image(
                tf.io.read_file(pixels), channels=channels, expand_animations=False
            )
        elif pixels.shape.rank == 2:
            pixels = pixels[..., None]
        if image_size:
            pixels = _resized(_recolored(pixels, channels), image_size[:2])
        return {"image": pixels, **{name: row[name] for name in others}}

    return dataset.map(prepare, num_parallel_calls=WORKERS, deterministic=True)


def _recolored(pixels, channels):
    known = pixels.shape[-1]
    if channels in (0, known) or known is None:
        return pixels
    if channels == 3 and known == 1:
        return tf.image.grayscale_to_rgb(pixels)
    if channels == 1 and known == 3:
        return tf.image.rgb_to_grayscale(pixels)
    raise ValueError(
        f"`image_size` must have the images' {known} channels, or 1 or 3 of 3 or 1. Received: "
        f"{channels}"
    )


def _resized(pixels, size):
    if pixels.shape[:2] == size:
        return pixels
    resized = tf.image.resize(pixels, size, antialias=True)
    if pixels.dtype.is_integer:
        resized = tf.round(tf.clip_by_value(resized, 0, pixels.dtype.max))
    return tf.cast(resized, pixels.dtype)


def read_splits(source, datasets, check, dropped, *, files, errors="raise", keep=True):
    """Reads the records of all splits, train first, and checks them.

    Args:
        source: the `Source`, for messages.
        datasets: dict from split to a dataset of `prepared`.
        check: function from a record to `None`, or `(reason, message)` where it cannot be used.
        dropped: dict, which gets the counts of each split by reason.
        files: dict from split to the names of the records' files, if they are files.
        errors: `"raise"`, or `"skip"` to leave out and count.
        keep: whether the images are kept.

    Yields:
        `(split, columns, shape)`. Columns are a dict from column to a list: `record`, the number of
        each record; `key`, bytes that stand for the image's content; and of each column, but for
        the images without `keep`. The shape is that of the first image, `(H, W, C)`.

    Raises:
        ValueError: if a record cannot be used; it names the record.
    """
    shape = None
    for split in sorted(datasets, key=lambda split: split != "train"):
        dropped[split] = {}
        columns, shape = _read(
            source,
            split,
            datasets[split],
            check,
            dropped[split],
            shape,
            files.get(split, ()),
            errors,
            keep,
        )
        yield split, columns, shape


def _read(source, split, dataset, check, dropped, shape, files, errors, keep):
    columns = {name: [] for name in dataset.element_spec if keep or name != "image"}
    columns.update(record=[], key=[])
    for number, record in _records(dataset, source.sizes.get(split), f"Reading {split}"):
        wrong = ("unreadable", _message(record)) if isinstance(record, Exception) else None
        if wrong is None:
            shape = shape or record["image"].shape
            wrong = _other_shape(record["image"], shape) or _not_finite(record["image"])
            wrong = wrong or check(record)
        if wrong is not None:
            reason, message = wrong
            if errors == "raise":
                place = f", {files[number]!r}," if files else ""
                raise ValueError(
                    f"Record {number:,} of split {split!r} of {source.name!r}{place} {message}. "
                    "Correct it, or pass errors='skip' to leave out and count such records."
                ) from (record if isinstance(record, Exception) else None)
            dropped[reason] = dropped.get(reason, 0) + 1
            continue
        columns["record"].append(number)
        columns["key"].append(hashlib.blake2b(record["image"].tobytes(), digest_size=16).digest())
        for name, items in columns.items():
            if name in record:
                items.append(record[name])
    if not columns["record"]:
        raise ValueError(
            f"The split {split!r} of {source.name!r} has no examples"
            + (f" that can be used ({dropped})" if dropped else "")
            + ". Give it some, or leave the split out."
        )
    return columns, shape


def _records(dataset, count, what):
    """Yields `(number, record)`, records as dicts of arrays, or as the error of reading them."""
    dataset = without_autotuning(dataset)
    number = 0
    with progress_bar(what, count, "images", delay=2.0, leave=False) as bar:
        if all(spec.shape.is_fully_defined() for spec in dataset.element_spec.values()):
            try:
                for batch in dataset.batch(_BATCH).prefetch(1).as_numpy_iterator():
                    for record in zip(*batch.values(), strict=True):
                        yield number, dict(zip(batch, record, strict=True))
                        number += 1
                    bar.update(len(next(iter(batch.values()))))
                return
            except tf.errors.OpError:
                pass  # one by one from here, to find out which
        iterator = iter(dataset.skip(number))
        while True:
            try:
                row = next(iterator)
                record = {
                    name: t if isinstance(t, tf.RaggedTensor) else t.numpy()
                    for name, t in row.items()
                }
            except StopIteration:
                return
            except tf.errors.OpError as error:
                record = error
            yield number, record
            number += 1
            bar.update()
            if isinstance(record, tf.errors.DataLossError):
                return  # the file is broken from here on


def _message(error):
    return f"cannot be read: {error.message.splitlines()[0][:200]}"


def _other_shape(image, shape):
    if image.shape == shape:
        return None
    return (
        "other_size",
        f"must have the size of the first image, {shape}. Received: {image.shape}. Pass "
        "`image_size` to resize all",
    )


def _not_finite(image):
    if image.dtype.kind != "f" or (image.min() >= 0 and image.max() <= 1):  # of NaN neither is True
        return None
    return (
        "pixels_out_of_range",
        f"must have pixels of 0 to 1, or integers. Received: {image.min():g} to {image.max():g}",
    )
