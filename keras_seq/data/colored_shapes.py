"""The dataset `colored_shapes`: captions and the pictures of 32 x 32 pixels that they describe."""

import itertools
import random

import numpy as np
import tensorflow_datasets as tfds

SIZES = {"train": 2_765, "validation": 500, "test": 5_951}  # 30 % of 9,216 are trained on
SIDE, RADIUS, GROUND_HEIGHT = 32, 8, 8  # pixels

COLORS = {
    "red": (214, 40, 40),
    "orange": (247, 138, 29),
    "yellow": (240, 216, 60),
    "green": (44, 160, 72),
    "blue": (48, 92, 222),
    "purple": (142, 68, 173),
}
# Whether a point belongs to a shape of radius 1: x to the right, y down.
SHAPES = {
    "circle": lambda x, y: x**2 + y**2 <= 1,
    "square": lambda x, y: _largest(x, y) <= 0.9,
    "triangle": lambda x, y: (abs(y) <= 0.9) & (abs(x) <= (y + 1) / 2),
    "diamond": lambda x, y: abs(x) + abs(y) <= 1,
    "cross": lambda x, y: (np.minimum(abs(x), abs(y)) <= 0.35) & (_largest(x, y) <= 0.9),
    "ring": lambda x, y: (x**2 + y**2 <= 1) & (x**2 + y**2 >= 0.25),
    "moon": lambda x, y: (x**2 + y**2 <= 1) & ((x - 0.5) ** 2 + y**2 >= 0.5),
    "arrow": lambda x, y: (abs(y) <= 0.9 - x) & ((x >= 0) | (abs(y) <= 0.35)) & (x >= -0.9),
}
# Which pixels of a shape's (32, 32) mask are painted, by their rows and columns.
TEXTURES = {
    "plain": lambda mask, row, column: mask,
    "striped": lambda mask, row, column: mask & (row // 2 % 2 == 0),
    "checkered": lambda mask, row, column: mask & ((row // 2 + column // 2) % 2 == 0),
    "hollow": lambda mask, row, column: mask & ~_inner(mask),
}
POSITIONS = {  # row and column of the center
    "top left": (8, 8),
    "top center": (8, 16),
    "top right": (8, 24),
    "low left": (16, 8),
    "low center": (16, 16),
    "low right": (16, 24),
}
GROUNDS = {
    "grass": (110, 190, 70),
    "sand": (232, 205, 150),
    "water": (90, 170, 230),
    "stone": (150, 150, 150),
    "soil": (120, 80, 50),
    "ice": (205, 235, 245),
    "lava": (160, 20, 10),
    "tar": (25, 25, 30),
}


class ColoredShapes(tfds.core.GeneratorBasedBuilder):
    """Captions and pictures of one colored shape each, for models from text to image.

    Every caption names a color, a texture, a shape, a place and a ground, as in "red striped circle
    top left over grass"; the picture of 32 x 32 pixels follows from it. There are 6 x 4 x 8 x 6 x 8
    = 9,216 captions, and no two have the same picture. Nothing is downloaded.

    Splits: train 2,765 (30 %), validation 500, test 5,951, disjoint: what a model draws for a
    caption of the test split, it must put together from parts that it has seen in other pictures.
    The draw is the same on every machine and Python version. Number of captions and fraction in the
    train split are those of the notebook `rainbow_dalle` of the package dalle-pytorch.

    Features: `image` (32, 32, 3) uint8, `text`. `supervised_keys` are `("image", "text")`.

    Example:

    ```python
    import keras_seq.data  # registers the dataset
    import tensorflow_datasets as tfds

    dataset = tfds.load("colored_shapes", split="validation")
    for example in dataset.take(2).as_numpy_iterator():
        print(example["text"].decode(), example["image"].shape)
    ```
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "9,216 captions, 30 % of them in the train split."}  # noqa: RUF012

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "Captions and pictures of a shape with a color, a texture, a place and a ground. "
                "Synthetic and definite: a caption has one picture."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIDE, SIDE, 3)),
                    "text": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "text"),
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing to download
        splits = make_splits(SIZES)
        return {name: self._generate_examples(captions) for name, captions in splits.items()}

    def _generate_examples(self, captions):
        for caption in captions:
            yield caption, {"image": draw(caption), "text": caption}


def make_splits(sizes, seed=0):
    """Draws disjoint splits of the captions.

    Args:
        sizes: Dict from split name to its number of captions, at most 9,216 in all.
        seed: Integer; another seed draws others.

    Returns:
        Dict from split name to a list of captions.

    Raises:
        ValueError: If there are not as many captions.

    Example:

    ```python
    from keras_seq.data.colored_shapes import make_splits

    print(make_splits({"train": 3, "test": 1}))
    ```
    """
    parts = itertools.product(COLORS, TEXTURES, SHAPES, POSITIONS, GROUNDS)
    captions = [f"{c} {t} {s} {position} over {ground}" for c, t, s, position, ground in parts]
    if sum(sizes.values()) > len(captions):
        raise ValueError(
            f"`sizes` must add up to at most {len(captions):,} captions. Received: {sizes}"
        )
    # `random()` is the one method whose sequence Python promises to keep between versions.
    draw_number = random.Random(seed).random
    order = iter(sorted(captions, key=lambda _: draw_number()))
    return {name: list(itertools.islice(order, size)) for name, size in sizes.items()}


def draw(caption):
    """The picture of a caption.

    Args:
        caption: As `make_splits` gives it: "COLOR TEXTURE SHAPE ROW COLUMN over GROUND".

    Returns:
        (32, 32, 3) uint8.

    Raises:
        ValueError: If the caption has another form, or a word that is unknown.

    Example:

    ```python
    from keras_seq.data.colored_shapes import draw

    print(draw("blue hollow ring low right over sand").shape)  # (32, 32, 3)
    ```
    """
    try:
        color, texture, shape, *place, _over, ground = caption.split()
        (y, x), is_inside, paint = POSITIONS[" ".join(place)], SHAPES[shape], TEXTURES[texture]
        colors = COLORS[color], GROUNDS[ground]
    except (KeyError, ValueError) as error:
        raise ValueError(
            "`caption` must be like 'red striped circle top left over grass', of the words in "
            f"COLORS, TEXTURES, SHAPES, POSITIONS and GROUNDS. Received: {caption!r}"
        ) from error
    row, column = np.mgrid[:SIDE, :SIDE]
    mask = is_inside((column + 0.5 - x) / RADIUS, (row + 0.5 - y) / RADIUS)
    image = np.full((SIDE, SIDE, 3), 255, "uint8")
    image[-GROUND_HEIGHT:] = colors[1]
    image[paint(mask, row, column)] = colors[0]
    return image


def _largest(x, y):
    return np.maximum(abs(x), abs(y))


def _inner(mask):
    """The pixels of a mask whose four neighbors belong to it, too."""
    padded = np.pad(mask, 1)
    return padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
