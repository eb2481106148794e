"""The dataset `digit_scenes`: pictures of several digits, with a box and a label for each."""

import functools
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from keras_seq.data._source_images import read_source_images

SIZES = {"train": 20_000, "validation": 1_000, "test": 2_000}
SIDE = 64  # pixels of a scene
MOST = 4  # digits of a scene
_SMALLEST, _LARGEST = 20, 40  # pixels of the whole image of a digit, its margin included
_INK = 64  # a pixel at least so bright belongs to a digit
_TRIES = 20  # for a place that is still free


class DigitScenes(tfds.core.GeneratorBasedBuilder):
    """Shows digits of MNIST, of several sizes and anywhere in a scene, to be found and told apart.

    A scene of 64 x 64 pixels has one to four digits. Each is an image of MNIST, resized to between
    0.7 and 1.4 times its size, that lies where no other digit is: boxes do not overlap. A box is
    the smallest around the pixels of its digit with at least a quarter of the full brightness.

    Splits: train 20,000, validation 1,000, test 2,000. No digit is in two splits; those of the test
    split are from the test split of MNIST, which is taken from the same `data_dir` and downloaded
    where it is missing. The draw is the same on every machine.

    Features: `image` (64, 64, 1) uint8; `objects`, a sequence of `bbox` (fractions of the image)
    and `label`, as in the datasets COCO and VOC of TFDS.

    Example:

    ```python
    import keras_seq.data  # registers the dataset
    import tensorflow_datasets as tfds

    builder = tfds.builder("digit_scenes")
    print(builder.info.splits, builder.info.features)  # download_and_prepare() makes it
    ```
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "One to four digits a scene."}  # noqa: RUF012

    def _info(self):
        label = tfds.features.ClassLabel(num_classes=10)
        objects = {"bbox": tfds.features.BBoxFeature(), "label": label}
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "Scenes of one to four digits of MNIST, of several sizes and anywhere, with the "
                "box and the label of each. No digit is in two splits."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIDE, SIDE, 1)),
                    "objects": tfds.features.Sequence(objects),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # the other dataset has its own
        data_dir = pathlib.Path(self.data_dir).parents[1]  # .../digit_scenes/1.0.0
        splits = make_splits(read_source_images("mnist", data_dir), SIZES)
        return {name: self._generate_examples(scenes) for name, scenes in splits.items()}

    def _generate_examples(self, scenes):
        for key, (image, boxes, labels) in enumerate(scenes):
            objects = [
                {"bbox": tfds.features.BBox(*(box / SIDE)), "label": label}
                for box, label in zip(boxes, labels, strict=True)
            ]
            yield key, {"image": image, "objects": objects}


def make_splits(sources, sizes, seed=0):
    """Draws scenes for each split.

    Args:
        sources: dict from split to `(images (N, 28, 28, 1) uint8, labels (N,))`.
        sizes: dict from split to the number of scenes.
        seed: int; another seed draws other scenes.

    Returns:
        Dict from split to a list of `(image (64, 64, 1) uint8, boxes (M, 4), labels (M,))`; boxes
        are top, left, bottom and right in pixels.

    Example:

    ```python
    import numpy as np
    from keras_seq.data.digit_scenes import make_splits

    images = np.random.default_rng(0).integers(0, 256, (100, 28, 28, 1)).astype("uint8")
    scenes = make_splits({"train": (images, np.arange(100) % 10)}, {"train": 4})["train"]
    image, boxes, labels = scenes[0]
    print(image.shape, boxes, labels)
    ```
    """
    random = np.random.RandomState(seed)  # a generator whose numbers NumPy promises to keep
    return {
        split: [_draw_scene(random, *sources[split]) for _ in range(size)]
        for split, size in sizes.items()
    }


def _draw_scene(random, images, labels):
    scene, boxes, chosen = np.zeros((SIDE, SIDE, 1), "uint8"), [], []
    for _ in range(random.randint(1, MOST + 1)):
        number = random.randint(len(images))
        digit = _cut_out(images[number], random.randint(_SMALLEST, _LARGEST + 1))
        box = _free_place(random, digit.shape[:2], boxes)
        if box is not None:
            top, left, bottom, right = box
            scene[top:bottom, left:right] = digit
            boxes.append(box)
            chosen.append(labels[number])
    return scene, np.array(boxes), np.array(chosen)


def _cut_out(image, side):
    """The ink of an image (28, 28, 1), resized to `side` times `side` pixels."""
    matrix = _resizing(image.shape[0], side)
    image = np.round(matrix @ image[..., 0] @ matrix.T).astype("uint8")
    rows, columns = (np.flatnonzero((image >= _INK).any(axis)) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, np.newaxis]


def _free_place(random, shape, boxes):
    """A box of this shape that overlaps none of the others, or `None` if none was found."""
    for _ in range(_TRIES):
        top, left = (random.randint(SIDE - size + 1) for size in shape)
        bottom, right = top + shape[0], left + shape[1]
        if all(top >= b or bottom <= t or left >= r or right <= lf for t, lf, b, r in boxes):
            return top, left, bottom, right
    return None


@functools.cache
def _resizing(before, after):
    """(after, before): the matrix that resizes a line of pixels, linearly, without aliasing."""
    ratio = before / after
    centers = (np.arange(after)[:, None] + 0.5) * ratio
    distance = np.abs(centers - (np.arange(before) + 0.5)) / max(ratio, 1.0)
    weights = np.maximum(1 - distance, 0)
    return weights / weights.sum(axis=1, keepdims=True)
