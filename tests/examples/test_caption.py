import importlib.util
import json
import pathlib
import re
import sys
import types

import numpy as np
import tensorflow as tf

from tests.examples.quick_run import run_quick

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def test_the_script_captions_scenes_draws_where_it_looked_and_exports(tmp_path):
    printed = run_quick("caption", "--output", tmp_path / "out", folder=tmp_path)
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())["figures"]
    assert 0 <= figures["exact match"] <= 1
    assert figures["validation accuracy"] > 0.3  # of words; "a" alone is a third of them
    captions = re.findall(r"^  .*\(expected (.+)\)$", printed, re.MULTILINE)
    assert captions and all("left of" in text or "above" in text for text in captions)
    for i in range(4):
        assert (tmp_path / "out" / f"attention_{i}.png").read_bytes().startswith(b"\x89PNG")
    equal = re.findall(r"^  tokens equal +([\d,]+) of ([\d,]+)$", printed, re.MULTILINE)
    assert equal and all(same == compared for same, compared in equal)
    assert (tmp_path / "out" / "model.tflite").is_file()


def test_a_run_that_goes_on_reads_what_it_would_have_read(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, "experiment", raising=False)
    spec = importlib.util.spec_from_file_location("caption", EXAMPLES / "caption.py")
    caption = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(caption)

    images = np.arange(1.0, 6 * 25 + 1).reshape(6, 1, 5, 5, 1)
    texts = np.arange(6).reshape(6, 1)
    batches = tf.data.Dataset.from_tensor_slices(({"image": images, "text": texts}, texts, texts))
    batches.from_step = lambda step: batches.skip(step)
    options = types.SimpleNamespace(seed=0, shift=1)
    renamed = caption.for_captioner(options, batches)
    for i, (x, y, _) in enumerate(renamed):
        assert (x["image"].numpy() == images[i]).all() and x["target"].numpy() == y == i

    training = caption.for_captioner(options, batches, training=True)
    whole = [x["image"].numpy() for x, _, _ in training]
    rest = [x["image"].numpy() for x, _, _ in training.from_step(4)]
    assert not np.array_equal(whole, images)
    np.testing.assert_array_equal(rest, whole[4:])
