"""Checks of the samplers' arguments."""

from keras_seq.layers._arguments import is_number


def check_number(owner, name, value, smallest, largest):
    """Raise unless `value` is a positive number in [smallest, largest]."""
    if not is_number(value) or not smallest <= value <= largest or value <= 0:
        expected = f"[{smallest:g}, {largest:g}]" if smallest else f"(0, {largest}]"
        raise ValueError(
            f"`{name}` of {owner} must be a positive number in {expected}. "
            f"Received: {name}={value!r}"
        )
