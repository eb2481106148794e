import pytest

from keras_seq.export import ExportReport
from keras_seq.export.report import readable_size


def test_a_report_agrees_only_if_something_was_compared():
    report = ExportReport("LiteRT", "m.tflite", 36_200, {"ADD": 2}, {})
    assert not report.agrees and "36.2 KB" in str(report)


@pytest.mark.parametrize(
    "fields, agrees",
    [
        ({"tokens": 5, "tokens_equal": 5, "atol": 1e-3}, True),
        ({"tokens": 5, "tokens_equal": 4, "atol": 1e-3}, False),
        ({"tokens": 5, "tokens_equal": 5, "largest_difference": 1e-2, "atol": 1e-3}, False),
        ({"values": 5, "largest_difference": 1e-3, "atol": 1e-3}, True),
        ({"values": 5, "largest_difference": float("nan"), "atol": 1e-3}, False),
    ],
)
def test_a_report_agrees_where_tokens_are_equal_and_numbers_within_the_tolerance(fields, agrees):
    assert ExportReport("LiteRT", "m.tflite", 1, **fields).agrees is agrees


def test_a_report_shows_near_ties():
    report = ExportReport("LiteRT", "m.tflite", 1, tokens=5, tokens_equal=5, near_ties=2)
    assert "5 of 5 (2 near ties)" in str(report)


@pytest.mark.parametrize("size, text", [(517, "517 B"), (5_430_000, "5.4 MB"), (2e9, "2.0 GB")])
def test_sizes_have_units(size, text):
    assert readable_size(size) == text
