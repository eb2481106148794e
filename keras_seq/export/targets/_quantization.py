"""How the numbers of a LiteRT file are stored, and how near such a file is to its model."""

from typing import NamedTuple


class Quantization(NamedTuple):
    """What is expected of a file of one kind.

    Attributes:
        atol: of a model's outputs, relative to an output's largest number where that is above 1.
        score_atol: of a generated token's log-probability, on average over a sequence.
        min_agreement: fraction of a generator's tokens that are the model's own. A file below is
            broken; one above is as good as the user's metric says.
        weight_bytes: of a number in a kernel.
    """

    atol: float
    score_atol: float
    min_agreement: float
    weight_bytes: int


QUANTIZATIONS = {
    None: Quantization(1e-5, 0.0, 1.0, 4),
    "float16": Quantization(1e-2, 0.02, 0.9, 4),
    "dynamic_int8": Quantization(0.1, 0.25, 0.5, 1),
    "int8": Quantization(0.2, float("nan"), 1.0, 1),  # of models, not of generators
}
_SCORE_TOLERANCE = 1e-3  # of a whole sequence, for rounding alone


def checked_quantization(quantize):
    """The `Quantization` of an argument of `to_litert`."""
    if quantize not in QUANTIZATIONS:
        names = ", ".join(repr(name) for name in QUANTIZATIONS)
        raise ValueError(f"`quantize` of to_litert must be one of {names}. Received: {quantize!r}")
    return QUANTIZATIONS[quantize]


def score_tolerance(quantize, max_length):
    """Tolerance of the score of a sequence of up to `max_length` new tokens."""
    return _SCORE_TOLERANCE + QUANTIZATIONS[quantize].score_atol * max_length
