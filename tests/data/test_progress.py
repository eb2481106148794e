import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tqdm import tqdm

from keras_seq.data import _progress, images, language_model, train_tokenizer

TEXTS = ["to be", "or not"] * 5
LEARNED = ("bpe", "subword", "character", "word", "wordpiece")


@pytest.mark.parametrize("kind", LEARNED)
def test_the_bar_counts_all_texts(kind, capsys):
    train_tokenizer(TEXTS, kind, cache=False, verbose=1)
    written = capsys.readouterr().out
    assert f"{kind} tokenizer" in written and "10/10" in written


def test_it_is_shown_in_a_terminal_unless_keras_is_to_be_quiet(capsys, monkeypatch):
    def written(**options):
        train_tokenizer(TEXTS, "word", cache=False, **options)
        return "10/10" in capsys.readouterr().out

    interactive = keras.config.is_interactive_logging_enabled()
    try:
        keras.config.enable_interactive_logging()
        assert not written()
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        assert written() and not written(verbose=0)
        keras.config.disable_interactive_logging()
        assert not written() and written(verbose=1)
    finally:
        if interactive:
            keras.config.enable_interactive_logging()


def test_tokenizing_and_reading_images_are_shown_as_training_is(monkeypatch):
    bars = []

    def record(**options):
        bars.append(options)
        return tqdm(**options)

    monkeypatch.setattr(_progress, "tqdm", record)
    texts = tf.data.Dataset.from_tensor_slices({"text": [f"text {i}" for i in range(40)]})
    language_model(texts, sequence_length=8, batch_size=2)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 2, 2, 1)).astype("uint8")
    images(tf.data.Dataset.from_tensor_slices({"image": pixels}), layout="tokens", batch_size=2)
    begins = ("character", "Tokenizing", "Reading")
    assert {name for name in begins for bar in bars if bar["desc"].startswith(name)} == {*begins}
    assert all(bar["disable"] for bar in bars)  # this is no terminal
