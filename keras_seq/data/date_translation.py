"""The dataset `date_translation`: dates as people write them -> ISO 8601."""

import datetime
import random

import tensorflow_datasets as tfds

from keras_seq.data._date_forms import FORMS, write_date

SIZES = {"train": 60_000, "validation": 2_000, "test": 2_000}
LONGEST = 48  # characters of a source text
_FIRST = datetime.date(1950, 1, 1)
_DAYS = (datetime.date(2050, 1, 1) - _FIRST).days
_CASES = ("as is",) * 8 + ("lower", "upper")
_SPACINGS = ("as is",) * 7 + ("no comma", "tight", "wide")


class DateTranslation(tfds.core.GeneratorBasedBuilder):
    """Translates dates, written as people write them in twelve locales, into ISO 8601.

    A small sequence-to-sequence task with a definite answer, made on the spot: nothing is
    downloaded. The source is a date of the years 1950 to 2049, in a style of Babel (the Unicode
    locale data) or an irregular form ("the 3rd of March 2021", "March 3rd, '21",
    "2021년3월3일 수요일"), sometimes in other case or with commas and spaces missing or doubled.
    No source has two meanings: where the order of day and month depends on the locale, the text
    names the locale, as in "2/4/21 (en-US)". All sources are unique, so no text of one split
    occurs in another; the same date may, written otherwise.

    Splits: train 60,000, validation 2,000, test 2,000, about equally many per locale. The draw
    is the same on every machine and Python version; month and weekday names are those of the
    installed Babel.

    Features: `source` (at most 48 characters, NFC, ordinary spaces only), `target` (YYYY-MM-DD)
    and `locale` (such as "ko_KR"), all text. `supervised_keys` are `("source", "target")`.

    Example:

    ```python
    import keras_seq.data  # registers the dataset
    import tensorflow_datasets as tfds

    dataset = tfds.load("date_translation", split="validation")
    for example in dataset.take(2).as_numpy_iterator():
        print(example["source"].decode(), "->", example["target"].decode())
    ```
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Twelve locales, years 1950 to 2049."}  # noqa: RUF012

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "Dates as people write them in twelve locales, to be translated into ISO 8601. "
                "Synthetic and unambiguous: every source text has one meaning."
            ),
            features=tfds.features.FeaturesDict(
                {name: tfds.features.Text() for name in ("source", "target", "locale")}
            ),
            supervised_keys=("source", "target"),
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing to download
        splits = make_splits(SIZES)
        return {name: self._generate_examples(examples) for name, examples in splits.items()}

    def _generate_examples(self, examples):
        for example in examples:
            yield example["source"], example  # sources are unique, so they serve as keys


def make_splits(sizes, seed=0):
    """Draws disjoint splits of unique dated texts.

    Args:
        sizes: Dict from split name to its number of examples.
        seed: Integer; another seed draws other dates and forms.

    Returns:
        Dict from split name to a list of `{"source": str, "target": str, "locale": str}`,
        ordered by locale.

    Raises:
        ImportError: If Babel is missing.

    Example:

    ```python
    from keras_seq.data.date_translation import make_splits

    splits = make_splits({"train": 24, "test": 12})
    assert len(splits["train"]) == 24
    ```
    """
    splits = {name: [] for name in sizes}
    used = set()
    for index, locale in enumerate(FORMS):
        # `random()` is the one method whose sequence Python promises to keep between versions.
        draw = random.Random(seed * len(FORMS) + index).random
        for name, size in sizes.items():
            count = (index + 1) * size // len(FORMS) - index * size // len(FORMS)
            splits[name].extend(_draw_unique(draw, locale, count, used))
    return splits


def _draw_unique(draw, locale, count, used):
    def choose(options):
        return options[int(draw() * len(options))]

    examples = []
    while len(examples) < count:
        date = _FIRST + datetime.timedelta(days=int(draw() * _DAYS))
        form, case, spacing = choose(FORMS[locale]), choose(_CASES), choose(_SPACINGS)
        source = write_date(date, locale, form, case=case, spacing=spacing)
        if source not in used and len(source) <= LONGEST:
            used.add(source)
            examples.append({"source": source, "target": date.isoformat(), "locale": locale})
    return examples
