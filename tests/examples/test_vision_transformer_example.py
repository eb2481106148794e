import importlib.util
import json
import pathlib
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.examples.quick_run import run_quick

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def example():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        patch.delitem(sys.modules, "experiment", raising=False)
        spec = importlib.util.spec_from_file_location("vit", EXAMPLES / "vision_transformer.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module


def numbered(steps):
    """Batches of two images whose pixels all differ."""
    images = np.arange(1, steps * 2 * 5 * 6 + 1, dtype="float32").reshape(steps, 2, 5, 6, 1)
    dataset = tf.data.Dataset.from_tensor_slices((images, np.zeros((steps, 2), "int32")))
    dataset.from_step = lambda step: dataset.skip(step)
    return images, dataset


def test_images_are_moved_by_whole_pixels_with_nothing_behind_them(example):
    images, dataset = numbered(steps=20)
    options = types.SimpleNamespace(seed=0, shift=2, flip=False)
    places = set()
    for before, (after, _) in zip(images, example.augmented(dataset, options), strict=True):
        for old, new in zip(before[..., 0], after.numpy()[..., 0], strict=True):
            padded = np.pad(old, 2)
            moved = {
                (dy, dx): padded[2 + dy : 7 + dy, 2 + dx : 8 + dx]
                for dy in range(-2, 3)
                for dx in range(-2, 3)
            }
            same = [place for place, image in moved.items() if (image == new).all()]
            assert len(same) == 1
            places.add(same[0])
    assert len(places) > 15  # of 25


def test_half_of_the_images_are_mirrored(example):
    images, dataset = numbered(steps=50)
    options = types.SimpleNamespace(seed=0, shift=0, flip=True)
    mirrored = 0
    for before, (after, _) in zip(images, example.augmented(dataset, options), strict=True):
        for old, new in zip(before, after.numpy(), strict=True):
            mirrored += int((new == old[:, ::-1]).all())
            assert (new == old[:, ::-1]).all() or (new == old).all()
    assert 30 < mirrored < 70


def test_a_run_that_goes_on_sees_the_images_that_it_would_have_seen(example):
    _, dataset = numbered(steps=6)
    options = types.SimpleNamespace(seed=3, shift=2, flip=True)
    augmented = example.augmented(dataset, options)
    whole = [images.numpy() for images, _ in augmented]
    rest = [images.numpy() for images, _ in augmented.from_step(4)]
    np.testing.assert_array_equal(rest, whole[4:])


def test_the_script_trains_draws_and_exports(tmp_path):
    printed = run_quick("vision_transformer", "--output", tmp_path / "out", folder=tmp_path)
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())["figures"]
    assert figures["test accuracy"] > 0.8  # a guess between two has half
    assert f"test accuracy: {figures['test accuracy']:,.4g}" in printed
    assert (tmp_path / "out" / "rollout.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "model.tflite").is_file()
    model = keras.models.load_model(tmp_path / "out" / "model.keras")
    assert model.output_shape == (None, 2)
