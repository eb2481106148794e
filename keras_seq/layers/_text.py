"""Checks of strings."""


def check_encodable(name, text):
    """Raise unless UTF-8 can encode a string; it cannot where half of a surrogate pair stands."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            f"`{name}` must be text that UTF-8 can encode, without lone surrogates. "
            f"Received: {text!r}"
        ) from None
