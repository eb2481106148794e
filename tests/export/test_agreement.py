import numpy as np
import pytest

from keras_seq.export import ExportError, ExportReport
from keras_seq.export._agreement import compare
from keras_seq.export.report import readable_size

TOKENS = np.array([[4, 5, 3, 0], [6, 3, 0, 0]])
SCORES = np.array([-1.0, -2.0])


def test_equal_tokens_are_counted_without_padding():
    result = compare("It", (TOKENS, SCORES), (TOKENS[:, :3], SCORES + 1e-6), 0, 1e-3)
    assert result["tokens"] == result["tokens_equal"] == 5
    assert 0 < result["largest_difference"] < 1e-5


@pytest.mark.parametrize("row, column, token", [(0, 1, 9), (1, 1, 7), (1, 3, 4), (0, 2, 0)])
def test_one_other_token_is_an_error_that_shows_it(row, column, token):
    other = TOKENS.copy()
    other[row, column] = token
    with pytest.raises(
        ExportError, match=f"of [56] tokens are equal on 2 inputs. First in row {row}"
    ):
        compare("It", (TOKENS, SCORES), (other, SCORES), 0, 1e-3)


@pytest.mark.parametrize("score", [-1.1, np.nan, -np.inf])
def test_other_scores_are_an_error(score):
    with pytest.raises(ExportError, match="scores differ"):
        compare("It", (TOKENS, SCORES), (TOKENS, np.array([score, -2.0])), 0, 1e-3)


def test_a_report_agrees_only_if_something_was_compared():
    report = ExportReport("LiteRT", "m.tflite", 36_200, {"ADD": 2}, {})
    assert not report.agrees and "36.2 KB" in str(report)


@pytest.mark.parametrize("size, text", [(517, "517 B"), (5_430_000, "5.4 MB"), (2e9, "2.0 GB")])
def test_sizes_have_units(size, text):
    assert readable_size(size) == text
