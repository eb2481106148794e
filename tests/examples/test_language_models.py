import json
import re

import numpy as np
import pytest

from tests.examples.quick_run import run_quick

pytest.importorskip("matplotlib")


def test_models_of_the_next_character_are_compared_on_what_they_were_not_trained_on(tmp_path):
    printed = run_quick("language_models", "--output", tmp_path / "out", folder=tmp_path)
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())["figures"]
    names = ("markov", "lstm", "transformer", "counted pairs")
    assert set(figures) == {
        f"{name}, {split}" for name in names for split in ("validation", "test")
    }
    # Counting pairs is the best that a Markov model can do; a longer past tells more.
    counted, trained = (figures[f"{name}, validation"] for name in ("counted pairs", "markov"))
    assert 0.98 * counted < trained < 1.3 * counted
    assert figures["transformer, validation"] < counted
    assert figures["lstm, validation"] < np.log(21)  # a guess among the letters of these lines
    assert (tmp_path / "out" / "loss_by_past.png").read_bytes().startswith(b"\x89PNG")
    table = re.findall(r"^(\S.*?)  +(\S+) +\d+ +(\S+) +(\S+) +(\S+) +(\S+)$", printed, re.MULTILINE)
    for name, _, nats, bits, *_ in table:
        assert float(nats) == pytest.approx(figures[f"{name}, validation"], abs=6e-4)
        assert float(bits) == pytest.approx(float(nats) / np.log(2), abs=2e-3)
    assert len(table) == 4
    for name in names[:3]:
        (sample,) = re.findall(f"^{name} writes: '(.*)'$", printed, re.MULTILINE)
        assert len(sample.replace("\\n", "\n")) == 1 + 40  # the prompt is a line end
    assert re.search("tokens equal +960 of 960", printed)  # 24 prompts, 40 tokens each
