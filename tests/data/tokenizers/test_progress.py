import sys

import keras
import pytest

from keras_seq.data import train_tokenizer

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
