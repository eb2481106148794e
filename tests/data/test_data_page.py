"""The pipelines of docs/data.md, on the real data that they name, of which they get slices."""

import pathlib
import re

import pytest
import tensorflow as tf

import keras_seq
from keras_seq.data import _source as sources

PAGE = pathlib.Path(keras_seq.__file__).parents[1] / "docs" / "data.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
NEEDS = {
    "mnist": "tfds/mnist",
    "fashion_mnist": "tfds/fashion_mnist",
    "imdb_reviews": "tfds/imdb_reviews",
    "tiny_shakespeare": "tfds/tiny_shakespeare",
    "./multi30k": "multi30k",
    "./kor_eng": "kor_eng",
    "./etth1/ETTh1.csv": "etth1",
    "./names/names.txt": "names",
}


@pytest.fixture
def slices(monkeypatch):
    """Splits have their first 1,200 examples alone."""
    batches_of = sources.open_source

    def few(*arguments, **options):
        source = batches_of(*arguments, **options)
        source.splits = {split: d.take(1200) for split, d in source.splits.items()}
        source.sizes = {}
        return source

    for module in pathlib.Path(sources.__file__).parent.glob("_*.py"):
        name = f"keras_seq.data.{module.stem}"
        if hasattr(__import__(name, fromlist=["open_source"]), "open_source"):
            monkeypatch.setattr(f"{name}.open_source", few)


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.splitlines()[-1][:40])
def test_a_block_of_the_page_runs(code, slices, monkeypatch, tmp_path, shared_folder):
    named = re.findall(r'"([^"]+)"', code)
    needed = [NEEDS[name] for name in named if name in NEEDS]
    root = next((shared_folder(path) for path in needed), None)
    if root is None:
        monkeypatch.chdir(tmp_path)  # a block that writes
    else:
        shared = root.parents[len(pathlib.Path(needed[0]).parts) - 1]
        monkeypatch.chdir(shared)
        code = re.sub(r'\("(\w+)"', rf'("\1", data_dir="{shared}/tfds"', code)
    names = {"__name__": "example"}
    exec(compile(code, f"<{PAGE.name}>", "exec"), names)
    made = [value for value in names.values() if hasattr(value, "describe")]
    assert not needed or len(made) == len(needed)
    for data in made:
        assert "padding" in data.describe()
        for batch in data.train.take(2):
            assert all(part.shape[0] > 0 for part in tf.nest.flatten(batch))


def test_pipelines_have_three_lines_at_most():
    pipelines = [code for code in BLOCKS if any(f'"{name}"' in code for name in NEEDS)]
    assert len(pipelines) == 6
    for code in pipelines:
        assert len(code.splitlines()) <= 4 and code.splitlines()[1] == ""
