"""Datasets the tests of keras_seq.data share; each is made once a run of pytest."""

import contextlib
import os
import pathlib

import pytest
import tensorflow_datasets as tfds

import keras_seq.data as data

SHARED = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"

PAIRS = {
    "train": (
        [f"ein kleiner Hund {i} läuft" for i in range(40)],
        [f"a small dog {i} runs" for i in range(40)],
    ),
    "validation": (["ein Hund 3 läuft", "ein Hund 7 läuft"], ["a dog 3 runs", "a dog 7 runs"]),
    "test": (["kleiner Hund", "ein Hund"], ["small dog", "a dog"]),
}


@pytest.fixture(scope="session")
def date_dir(tmp_path_factory):
    """A TFDS data_dir that holds date_translation."""
    path = tmp_path_factory.mktemp("tfds")
    data.DateTranslation(data_dir=path).download_and_prepare()
    return path


@pytest.fixture(scope="session")
def date_pairs(date_dir):
    """Dict from split name to (sources, targets) of date_translation."""
    splits = data.load("date_translation", data_dir=date_dir)
    return {name: data.pairs(split, "source", "target") for name, split in splits.items()}


@pytest.fixture(scope="session")
def some_dates(date_dir):
    """As `date_pairs`, the first thousand of each split."""

    def of(split):
        dataset = data.load("date_translation", f"{split}[:1000]", data_dir=date_dir)
        return data.pairs(dataset, "source", "target")

    return {split: of(split) for split in ("train", "validation", "test")}


@pytest.fixture
def write_folder(tmp_path):
    """Writes parallel text, `{split: (German, English)}`, and returns the folder."""

    def write(splits=PAIRS, languages=("de", "en")):
        folder = tmp_path / "parallel"
        folder.mkdir()
        for split, columns in splits.items():
            for language, texts in zip(languages, columns, strict=True):
                text = "\n".join(texts)
                (folder / f"{language}.{split}.txt").write_text(text, encoding="utf-8")
        return folder

    return write


@pytest.fixture
def shared_folder():
    """Returns a folder of real parallel text, or skips the test."""

    def find(name):
        if not (SHARED / name).is_dir():
            pytest.skip(f"needs real data: ../shared/data/{name} is missing")
        return SHARED / name

    return find


@pytest.fixture
def mocked(tmp_path):
    """Context in which TFDS makes up examples of a dataset, whose splits it is told."""

    @contextlib.contextmanager
    def mock(name, splits=("train", "test"), num_examples=40, **options):
        builder = tfds.builder(name, data_dir=tmp_path)
        infos = [
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[num_examples],
                num_bytes=0,
                filename_template=tfds.core.ShardedFileTemplate(
                    data_dir=builder.data_path,
                    dataset_name=builder.name,
                    split=split,
                    filetype_suffix="tfrecord",
                ),
            )
            for split in splits
        ]
        builder.info.set_splits(tfds.core.splits.SplitDict(infos))
        os.makedirs(builder.data_path)
        builder.info.write_to_directory(builder.data_path)
        with tfds.testing.mock_data(num_examples, data_dir=tmp_path, **options):
            yield tmp_path

    return mock
