import math
import re

from tests.examples.quick_run import run_quick

WORDS = set("my lord lady , the a cat king sees hears bird .".split()) | {"\n"}


def test_the_script_compares_carried_and_reset_states_and_writes_known_words(tmp_path):
    printed = run_quick("language_model", folder=tmp_path)
    assert "train: 1,999 words, 0.0% unknown" in printed  # 200 lines of 9 words and a line end
    rows = re.findall(r"trained with (carried|reset) +(\S+) +(\S+)$", printed, re.MULTILINE)
    assert [name for name, *_ in rows] == ["carried", "reset"]
    table = [[float(number) for number in row] for _, *row in rows]
    # Four words of a line of ten are one of two, equally likely: no model predicts them better.
    best = math.exp(4 * math.log(2) / 10)
    assert all(0.9 * best < number < math.inf for row in table for number in row)
    # Evaluated as it was trained, each model is better than one that knows the words alone.
    assert table[0][0] < len(WORDS) and table[1][1] < len(WORDS)
    text = printed[printed.index("\nmy lord ,") + 1 : -1].split(" ")
    assert text[:3] == ["my", "lord", ","]
    assert len(text) == 3 + 12 and set(text) <= WORDS  # "<unk>" is none of them
