"""The dataset `fashion_scenes`: pictures of several garments, with captions by rule."""

import itertools
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from keras_seq.data._source_images import read_source_images

SIZES = {"train": 40_000, "validation": 2_000, "test": 2_000}
SIDE = 64  # pixels of a scene
# What a label of Fashion-MNIST is called here. Pullovers (2) and shirts (6) are left out: too many
# of them look like coats and T-shirts, and a caption is to be a function of the picture.
GARMENTS = {
    0: "a t-shirt",
    1: "trousers",
    3: "a dress",
    4: "a coat",
    5: "a sandal",
    7: "a sneaker",
    8: "a bag",
    9: "a boot",
}
LAYOUTS = ((2,), (1, 1), (2, 1), (1, 2))  # garments of each row, from top to bottom
_HELD_OUT = 0.1  # fraction of the combinations, for each of validation and test


class FashionScenes(tfds.core.GeneratorBasedBuilder):
    """Describes scenes of two or three garments, which are images of Fashion-MNIST.

    A scene of 64 x 64 pixels has one or two rows of one or two garments, each somewhere in its part
    of the scene. Its caption names them from left to right and from top to bottom,

        caption = row [", above" row]        row = garment ["left of" garment]

    as in "a sneaker left of a bag, above a coat": caption and arrangement determine each other.
    There are eight kinds of garments; pullovers and shirts are left out, which cannot be told from
    coats and T-shirts with certainty.

    A combination is what kinds a scene shows, in whatever order. The splits have no combination and
    no image of a garment in common, so a test caption names garments that were never together in
    training, in no arrangement: 4 of 36 pairs and 12 of 120 triples are for each of validation and
    test. Images of the test split are from the test split of Fashion-MNIST.

    Splits: train 40,000, validation 2,000, test 2,000. Fashion-MNIST is taken from the same
    `data_dir`, and downloaded where it is missing. The draw is the same on every machine.

    Features: `image` (64, 64, 1) uint8, `text`. `supervised_keys` are `("image", "text")`.

    Example:

    ```python
    import keras_seq.data  # registers the dataset
    import tensorflow_datasets as tfds

    builder = tfds.builder("fashion_scenes")
    print(builder.info.splits, builder.info.features)  # download_and_prepare() makes it
    ```
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Eight kinds of garments, two or three a scene."}  # noqa: RUF012

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "Scenes of two or three images of Fashion-MNIST with a caption that says which "
                "garments there are and how they are arranged. No combination is in two splits."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIDE, SIDE, 1)),
                    "text": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "text"),
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # the other dataset has its own
        data_dir = pathlib.Path(self.data_dir).parents[1]  # .../fashion_scenes/1.0.0
        splits = make_splits(read_source_images("fashion_mnist", data_dir), SIZES)
        return {name: self._generate_examples(*split) for name, split in splits.items()}

    def _generate_examples(self, images, texts):
        for key, (image, text) in enumerate(zip(images, texts, strict=True)):
            yield key, {"image": image, "text": text}


def make_splits(sources, sizes, seed=0):
    """Draws scenes whose combinations of garments differ from split to split.

    Args:
        sources: dict from split to `(images (N, 28, 28, 1) uint8, labels (N,) of Fashion-MNIST)`.
        sizes: dict from `train`, `validation` and `test` to the number of scenes.
        seed: int; another seed holds out other combinations and draws other scenes.

    Returns:
        Dict from split to `(images (n, 64, 64, 1) uint8, list of n captions)`.

    Example:

    ```python
    import numpy as np
    from keras_seq.data.fashion_scenes import make_splits

    images = np.random.default_rng(0).integers(0, 256, (100, 28, 28, 1)).astype("uint8")
    source = images, np.arange(100) % 10
    splits = make_splits({"train": source, "test": source}, {"train": 8, "test": 4})
    print(splits["test"][1][0])
    ```
    """
    random = np.random.RandomState(seed)  # a generator whose numbers NumPy promises to keep
    combinations = split_combinations(random)
    return {
        split: _draw_scenes(random, *sources[split], combinations[split], size)
        for split, size in sizes.items()
    }


def split_combinations(random):
    """Divides the pairs and triples of kinds, each in alphabetical order, among the splits.

    Args:
        random: `np.random.RandomState`.

    Returns:
        Dict from split to a dict from the number of garments to a list of tuples of labels.
    """
    splits = {"train": {}, "validation": {}, "test": {}}
    for size in (2, 3):
        every = list(itertools.combinations_with_replacement(GARMENTS, size))
        order = random.permutation(len(every))
        held_out = round(_HELD_OUT * len(every))
        for split, places in {
            "validation": order[:held_out],
            "test": order[held_out : 2 * held_out],
            "train": order[2 * held_out :],
        }.items():
            splits[split][size] = [every[i] for i in sorted(places)]
    return splits


def caption(rows):
    """The caption of an arrangement.

    Args:
        rows: rows from top to bottom, each a list of labels of Fashion-MNIST from left to right.

    Returns:
        A string such as "a sneaker left of a bag, above a coat".
    """
    return ", above ".join(" left of ".join(GARMENTS[label] for label in row) for row in rows)


def _draw_scenes(random, images, labels, combinations, size):
    of_kind = {label: np.flatnonzero(labels == label) for label in GARMENTS}
    scenes, texts = np.zeros((size, SIDE, SIDE, 1), "uint8"), []
    for scene in scenes:
        layout = LAYOUTS[random.randint(len(LAYOUTS))]
        drawn = combinations[sum(layout)]
        kinds = iter(random.permutation(drawn[random.randint(len(drawn))]).tolist())
        rows = [[next(kinds) for _ in range(count)] for count in layout]
        for row, top in zip(rows, _places(random, len(rows), len(images[0])), strict=True):
            for kind, left in zip(row, _places(random, len(row), len(images[0])), strict=True):
                garment = images[of_kind[kind][random.randint(len(of_kind[kind]))]]
                scene[top : top + len(garment), left : left + len(garment)] = garment
        texts.append(caption(rows))
    return scenes, texts


def _places(random, count, width):
    """Where each of `count` garments begins along an axis: somewhere in its part of it."""
    part = SIDE // count
    return [i * part + random.randint(part - width + 1) for i in range(count)]
