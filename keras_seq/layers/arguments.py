"""Checks of constructor arguments that many layers share."""

import numbers


def check_positive(layer, **sizes):
    """Raise unless every named size is an int >= 1."""
    for name, value in sizes.items():
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not whole or value < 1:
            raise ValueError(
                f"`{name}` of {layer} must be an int of at least 1. Received: {name}={value!r}"
            )


def check_rate(layer, **rates):
    """Raise unless every named rate is in [0, 1)."""
    for name, value in rates.items():
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not number or not 0 <= value < 1:
            raise ValueError(
                f"`{name}` of {layer} is the share of values to drop and must be in [0, 1). "
                f"Received: {name}={value!r}"
            )


def check_rank(layer, name, shape, rank, meaning):
    """Raise unless `shape` has `rank` dimensions; `meaning` spells them out, e.g. "(B, T, D)"."""
    if shape is None or len(shape) != rank:
        raise ValueError(
            f"`{name}` of {layer} must have shape {meaning}. Received: {name} of shape {shape}"
        )
