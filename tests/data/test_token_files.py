import os

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_seq.data import _token_files as token_files
from keras_seq.data import language_model, train_tokenizer

DOCUMENTS = [f"{a} number {i}" for a in ("a text", "another", "one more") for i in range(100)]


class LinesForTokenFiles(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, manager):
        return {name: self._generate_examples() for name in ("train", "validation", "test")}

    def _generate_examples(self):
        for i, text in enumerate(DOCUMENTS):
            yield i, {"text": text}


def texts(*documents):
    return tf.data.Dataset.from_tensor_slices({"text": list(documents)})


def splits(documents=DOCUMENTS):
    return {name: texts(*documents) for name in ("train", "validation", "test")}


@pytest.mark.parametrize("layout", ["blocks", "documents", "packed"])
def test_batches_from_disk_are_those_from_memory(tmp_path, layout):
    options = {"layout": layout, "sequence_length": 24, "batch_size": 4, "seed": 3}
    in_memory = language_model(splits(), **options)
    on_disk = language_model(splits(), cache=tmp_path / "ids", **options)
    assert on_disk.texts == {} and on_disk.dropped == in_memory.dropped
    assert on_disk.train.element_spec == in_memory.train.element_spec
    for split in ("train", "validation"):
        pairs = zip(getattr(in_memory, split), getattr(on_disk, split), strict=True)
        for one, other in pairs:
            tf.nest.map_structure(np.testing.assert_array_equal, one, other)
    later = (data.train.from_step(70).take(3) for data in (in_memory, on_disk))
    for one, other in zip(*later, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_files_are_made_once_and_again_when_the_text_changes(tmp_path, monkeypatch):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(DOCUMENTS), encoding="utf-8")
    made = []
    write = token_files._write
    monkeypatch.setattr(token_files, "_write", lambda *a: made.append(0) or write(*a))
    folder = tmp_path / "ids"

    def make(**options):
        return language_model(path, layout="documents", cache=folder, **options)

    first, again = make(), make()
    assert len(made) == 1 and len(first.train) == len(again.train)
    make(vocabulary_size=200)
    assert len(made) == 2
    path.write_text("\n".join(DOCUMENTS[::2]), encoding="utf-8")
    changed = make(vocabulary_size=200)
    assert len(made) == 3
    counts = [sum(s.examples for s in d.summaries.values()) for d in (first, changed)]
    assert counts == [300, 150]
    assert sorted(os.listdir(tmp_path)) == ["ids", "texts.txt"]
    with pytest.raises(ValueError, match="`cache` must be a folder of its own"):
        language_model(path, layout="documents", cache=path)


def test_what_cannot_be_made_leaves_nothing_behind(tmp_path):
    bad = tf.data.Dataset.from_tensor_slices({"text": [b"fine", b"\xff"]})
    given = {**splits(), "test": bad}
    with pytest.raises(ValueError, match="Record 1 of split 'test'"):
        language_model(given, layout="documents", cache=tmp_path / "ids")
    assert os.listdir(tmp_path) == []
    data = language_model(given, layout="documents", cache=tmp_path / "ids", errors="skip")
    assert data.dropped["test"] == {"empty": 0, "not_utf8": 1, "too_long": 0}
    with pytest.raises(ValueError, match="`cache` must be 'memory' for layout='carried'"):
        language_model(given, layout="carried", cache=tmp_path / "ids")


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_sharded_records_are_read_in_their_order(tmp_path, file_format):
    config = tfds.download.DownloadConfig(num_shards=4)
    builder = LinesForTokenFiles(data_dir=tmp_path, file_format=file_format)
    builder.download_and_prepare(download_config=config)
    assert len(list((tmp_path / builder.name).glob("*/*train*"))) == 4
    tokenizer = train_tokenizer(DOCUMENTS, "character")
    data = language_model(
        builder.name,
        data_dir=tmp_path,
        layout="documents",
        tokenizer=tokenizer,
        cache=tmp_path / "ids",
    )
    found = []
    for _, labels, weights in data.validation:
        lengths = weights.numpy().sum(axis=1).astype(int) - 1
        found += [tokenizer.detokenize(y[:n]) for y, n in zip(labels.numpy(), lengths, strict=True)]
    assert sorted(found) == sorted(DOCUMENTS)


def test_what_train_lacks_is_held_out_by_content(tmp_path):
    many = [f"text {i % 700}" for i in range(1400)]
    data = language_model(texts(*many), layout="documents", cache=tmp_path / "ids", batch_size=8)
    counts = [s.examples for s in data.summaries.values()]
    assert sum(counts) == 1400 and 8 <= counts[1] <= 60 and 8 <= counts[2] <= 60
    seen = [
        {row.tobytes() for _, y, w in getattr(data, split) for row in map(np.trim_zeros, y.numpy())}
        for split in ("train", "validation", "test")
    ]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]
