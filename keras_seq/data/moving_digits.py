"""The dataset `moving_digits`: clips of digits that come, move, turn and go, a label each frame."""

import pathlib

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_seq.data._source_images import read_source_images

SIZES = {"train": 6_000, "validation": 500, "test": 1_000}
FRAMES = 20  # T
SIDE = 32  # pixels of a frame
NOTHING = 10  # the label where no digit is to be seen
CLASSES = (*map(str, range(10)), "nothing")
_STAY = (4, 9)  # frames that a digit is there, the shortest and the longest
_PAUSE = (1, 4)  # frames between two digits
_COVER = (2, 6)  # frames that are covered by noise
_CLEAR = (3, 7)  # frames between two covers
_SPEED = 1.5  # pixels a frame at most, along each axis
_TILT, _TURN = 15.0, 3.0  # degrees at first, and degrees a frame, at most
_MARGIN = 4  # pixels around a digit of MNIST that are always empty
_CLIPS = 500  # drawn at a time


class MovingDigits(tfds.core.GeneratorBasedBuilder):
    """Labels every frame of clips in which digits of MNIST come, move, turn and go.

    A clip has 20 frames of 32 x 32 pixels. One digit after another appears, moves, rebounds from
    the edges, turns by up to 42 degrees, and vanishes; between them there is nothing. Now and then
    noise covers whole frames, for 2 to 6 of them. The label of a frame is the digit in it, or
    "nothing", and as long as there is noise what the last clear frame showed:

        label_t = label_(t-1) if frame t is noise, else what frame t shows;    label_0 = "nothing"

    So a label follows from the past and the present alone, and noise, which looks like any other
    noise, must be labeled from memory.

    Splits: train 6,000, validation 500, test 1,000. No digit is in two splits; those of the test
    split are from the test split of MNIST, which is taken from the same `data_dir` and downloaded
    where it is missing. The draw is the same on every machine (pixels up to rounding).

    Features: `frames` (20, 32, 32, 1) uint8, `labels` (20,), classes "0" to "9" and "nothing".
    `supervised_keys` are `("frames", "labels")`.

    Example:

    ```python
    import keras_seq.data  # registers the dataset
    import tensorflow_datasets as tfds

    builder = tfds.builder("moving_digits")
    print(builder.info.splits, builder.info.features)  # download_and_prepare() makes it
    ```
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Clips of 20 frames."}  # noqa: RUF012

    def _info(self):
        frames = tfds.features.Tensor(
            shape=(FRAMES, SIDE, SIDE, 1), dtype=np.uint8, encoding=tfds.features.Encoding.ZLIB
        )
        label = tfds.features.ClassLabel(names=CLASSES)
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "Clips of digits of MNIST that appear, move, turn and vanish, partly behind noise, "
                "with a label for each frame that follows from the frames so far."
            ),
            features=tfds.features.FeaturesDict(
                {"frames": frames, "labels": tfds.features.Sequence(label, length=FRAMES)}
            ),
            supervised_keys=("frames", "labels"),
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # the other dataset has its own
        data_dir = pathlib.Path(self.data_dir).parents[1]  # .../moving_digits/1.0.0
        sources = read_source_images("mnist", data_dir)
        return {
            split: self._generate_examples(draw_clips(*sources[split], size, seed))
            for seed, (split, size) in enumerate(SIZES.items())
        }

    def _generate_examples(self, clips):
        for key, (frames, labels, _) in enumerate(clips):
            yield key, {"frames": frames, "labels": labels}


def make_splits(sources, sizes, seed=0):
    """Draws clips for each split.

    Args:
        sources: dict from split to `(images (N, 28, 28, 1) uint8, labels (N,))`.
        sizes: dict from split to the number of clips.
        seed: int; another seed draws other clips.

    Returns:
        Dict from split to `(frames (n, 20, 32, 32, 1) uint8, labels (n, 20) int64, covered (n, 20)
        bool, where a frame is noise)`.

    Example:

    ```python
    import numpy as np
    from keras_seq.data.moving_digits import make_splits

    images = np.random.default_rng(0).integers(0, 256, (100, 28, 28, 1)).astype("uint8")
    splits = make_splits({"train": (images, np.arange(100) % 10)}, {"train": 4})
    frames, labels, covered = splits["train"]
    print(frames.shape, labels[0])
    ```
    """
    splits = {}
    for i, (split, size) in enumerate(sizes.items()):
        clips = draw_clips(*sources[split], size, seed * len(sizes) + i)
        splits[split] = tuple(map(np.stack, zip(*clips, strict=True)))
    return splits


def draw_clips(images, labels, count, seed):
    """Yields `count` clips, each `(frames (T, 32, 32, 1), labels (T,), covered (T,))`."""
    random = np.random.RandomState(seed)  # a generator whose numbers NumPy promises to keep
    for begin in range(0, count, _CLIPS):
        size = min(_CLIPS, count - begin)
        shown, covered, transforms = _script(random, len(images), size)
        frames = _render(images, shown, transforms)
        frames = frames.reshape(size, FRAMES, SIDE, SIDE, 1)
        frames[covered] = random.randint(0, 256, frames[covered].shape, "uint8")
        seen = np.where(shown < 0, NOTHING, labels[shown]).astype("int64")
        yield from zip(frames, remembered(seen, covered), covered, strict=True)


def remembered(seen, covered):
    """Labels (n, T): what a frame shows, and where noise covers it, the label before.

    Args:
        seen: (n, T) labels, as if there were no noise.
        covered: (n, T) booleans.
    """
    labels, before = np.empty_like(seen), np.full(len(seen), NOTHING)
    for t in range(seen.shape[1]):
        labels[:, t] = before = np.where(covered[:, t], before, seen[:, t])
    return labels


def _script(random, images, count):
    """What happens in `count` clips.

    Returns:
        `(shown, covered, transforms)`: (n, T) the number of the image that is there, or -1; (n, T)
        whether noise covers it; (n, T, 3) its angle in radians, row and column.
    """
    shown, covered = np.full((count, FRAMES), -1), np.zeros((count, FRAMES), bool)
    transforms = np.zeros((count, FRAMES, 3))
    for clip in range(count):
        for begin, end in _stretches(random, _PAUSE, _STAY):
            shown[clip, begin:end] = random.randint(images)
            transforms[clip, begin:end] = _motion(random, end - begin)
        for begin, end in _stretches(random, _CLEAR, _COVER):
            covered[clip, begin:end] = True
    return shown, covered, transforms


def _stretches(random, gap, length):
    """Yields the first frame of a stretch and the one after its last, until the clip ends."""
    begin = random.randint(gap[0], gap[1] + 1)
    while begin < FRAMES:
        end = min(begin + random.randint(length[0], length[1] + 1), FRAMES)
        yield begin, end
        begin = end + random.randint(gap[0], gap[1] + 1)


def _motion(random, frames):
    """(frames, 3): angle, row and column of the digit's center."""
    tilt, turn = np.deg2rad(random.uniform(-1, 1, 2) * (_TILT, _TURN))
    low, high = 14 - _MARGIN, SIDE - 14 + _MARGIN
    start, speed = random.uniform(low, high, 2), random.uniform(-_SPEED, _SPEED, 2)
    t = np.arange(frames)[:, None]
    way = (start - low + speed * t) % (2 * (high - low))  # there and back again
    places = low + np.minimum(way, 2 * (high - low) - way)
    return np.concatenate([tilt + turn * t, places], axis=1)


def _render(images, shown, transforms):
    """(n T, 32, 32, 1) uint8: the images turned and moved, black where there is none."""
    frames = np.zeros((shown.size, SIDE, SIDE, 1), "uint8")
    there = shown.ravel() >= 0
    angle, row, column = transforms.reshape(-1, 3)[there].T
    cos, sin = np.cos(angle), np.sin(angle)
    center = (images.shape[1] - 1) / 2
    row, column = row - 0.5, column - 0.5  # from edges to centers of pixels
    # The point (x, y) of a frame shows the image at (cos x - sin y + dx, sin x + cos y + dy).
    dx = center - cos * column + sin * row
    dy = center - sin * column - cos * row
    zero = np.zeros_like(cos)
    turned = tf.raw_ops.ImageProjectiveTransformV3(
        images=images[shown.ravel()[there]].astype("float32"),
        transforms=np.stack([cos, -sin, dx, sin, cos, dy, zero, zero], 1).astype("float32"),
        output_shape=[SIDE, SIDE],
        fill_value=0.0,
        interpolation="BILINEAR",
    )
    frames[there] = np.round(np.clip(turned, 0, 255)).astype("uint8")
    return frames
