"""Checks of constructor arguments that many layers share."""

import math
import numbers


def is_number(value):
    """Whether `value` is a finite real number, NumPy's included, and no boolean."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and -math.inf < value < math.inf


def check_positive(layer, **sizes):
    """Raise unless every named size is an int >= 1."""
    for name, value in sizes.items():
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not whole or value < 1:
            raise ValueError(
                f"`{name}` of {layer} must be an int of at least 1. Received: {name}={value!r}"
            )


def check_choice(layer, choices, **values):
    """Raise unless every named value is among `choices`."""
    for name, value in values.items():
        if value not in choices:
            raise ValueError(
                f"`{name}` of {layer} must be one of {tuple(choices)}. Received: {name}={value!r}"
            )


def check_rate(layer, **rates):
    """Raise unless every named rate is in [0, 1)."""
    for name, value in rates.items():
        if not is_number(value) or not 0 <= value < 1:
            raise ValueError(
                f"`{name}` of {layer} is the fraction of values to drop and must be in [0, 1). "
                f"Received: {name}={value!r}"
            )


def check_epsilon(layer, **epsilons):
    """Raise unless every named number is positive and finite."""
    for name, value in epsilons.items():
        if not is_number(value) or value <= 0:
            raise ValueError(
                f"`{name}` of {layer} keeps a division from zero and must be a positive number. "
                f"Received: {name}={value!r}"
            )


def check_rank(layer, name, shape, rank, meaning):
    """Raise unless `shape` has `rank` dimensions; `meaning` spells them out, e.g. "(B, T, D)"."""
    if shape is None or len(shape) != rank:
        raise ValueError(
            f"`{name}` of {layer} must have shape {meaning}. Received: {name} of shape {shape}"
        )
