import json
import re

import numpy as np
import pytest

from tests.examples.quick_run import run_quick

pytest.importorskip("matplotlib")


def test_carried_and_reset_states_are_compared_for_each_length_of_the_chunks(tmp_path):
    options = ("--tokenizer", "word", "--output", tmp_path / "out")
    printed = run_quick("truncated_bptt", *options, folder=tmp_path)
    rows = re.findall(
        r"^  trained with states (carried|reset) +T = 8 +(\S+) \(\S+\) +(\S+) \(\S+\) +\d+ s$",
        printed,
        re.MULTILINE,
    )
    assert [states for states, *_ in rows] == ["carried", "reset"]
    # Four words of a line of nine are one of two: no model predicts them better.
    for _, carried, reset in rows:
        assert 0.9 * 4 * np.log(2) / 9 < float(carried) < np.log(13) > float(reset)
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())["figures"]
    for states, carried, _ in rows:
        assert figures[f"{states}, T = 8"] == pytest.approx(float(carried), abs=6e-4)
    assert (tmp_path / "out" / "loss_by_chunk.png").read_bytes().startswith(b"\x89PNG")
    words = printed.partition("the longest chunks:\n")[2].splitlines()[0].split(" ")
    assert words[:3] == ["my", "lord", ","] and len(words) == 3 + 12
    assert set(words) <= set("my lord lady , the a cat king sees hears bird .".split())
