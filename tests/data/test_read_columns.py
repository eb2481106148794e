import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_seq.data import classification, language_model, translation
from keras_seq.data._read_columns import batches_of, read_columns
from keras_seq.data._source import is_text, open_source


class TextsForSource(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, manager):
        return {name: self._generate_examples() for name in ("train", "validation", "test")}

    def _generate_examples(self):
        for i in range(50):
            yield i, {"text": f"a text with the number {i}"}


@pytest.fixture
def corrupt(tmp_path):
    """A TFDS folder whose test split has a record that was damaged after it was written."""
    builder = TextsForSource(data_dir=tmp_path)
    config = tfds.download.DownloadConfig(num_shards=2)
    builder.download_and_prepare(download_config=config)
    path = sorted((tmp_path / builder.name).glob("*/*test*"))[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    return tmp_path


def test_a_damaged_record_is_named_or_what_cannot_be_read_is_counted(corrupt):
    options = {"data_dir": corrupt, "layout": "documents", "batch_size": 8}
    with pytest.raises(ValueError, match=r"split 'test' of 'texts_for_source' cannot be read"):
        language_model("texts_for_source", **options)
    data = language_model("texts_for_source", errors="skip", **options)
    lost = data.dropped["test"]["unreadable"]
    assert 1 <= lost <= 25 and len(data.texts["test"]) == 50 - lost
    assert "unreadable" in str(data) and "unreadable" not in data.dropped["train"]


def test_columns_are_read_as_they_are():
    dataset = tf.data.Dataset.from_tensor_slices(
        {"text": ["a", "b"], "x": [[1.0, 2.0], [3.0, 4.0]], "n": tf.ragged.constant([[1], [2, 3]])}
    )
    source = open_source({"train": dataset, "dev": dataset})
    assert list(source.splits) == ["train", "validation"] and is_text(source.spec["text"])
    columns, dropped = read_columns(source, ["text", "n"], texts=["text"])
    assert columns["validation"]["text"] == ["a", "b"] and dropped == {
        "train": {},
        "validation": {},
    }
    assert [row.tolist() for row in columns["train"]["n"]] == [[1], [2, 3]]
    (x,) = read_columns(source, ["x"])[0]["train"].values()
    np.testing.assert_array_equal(x, [[1, 2], [3, 4]])


@pytest.mark.parametrize("task", [language_model, classification, translation])
def test_empty_datasets_are_refused_by_every_task(task):
    rows = tf.data.Dataset.from_tensor_slices((["a"], ["b"])).take(0)
    if task is language_model:
        rows = rows.map(lambda x, y: {"text": x})
    with pytest.raises(ValueError, match="'train' of .* has no examples"):
        task(rows)


def test_rows_are_read_a_few_at_a_time():
    read = 0

    def rows():
        nonlocal read
        for i in range(1000):
            read += 1
            yield {"text": f"row {i}"}

    spec = {"text": tf.TensorSpec([], tf.string)}
    source = open_source({"train": tf.data.Dataset.from_generator(rows, output_signature=spec)})
    for number, batch in enumerate(batches_of(source, "train", ["text"], texts=["text"])):
        assert len(batch["text"]) <= 256 and read <= 256 * (number + 2)
    assert read == 1000
