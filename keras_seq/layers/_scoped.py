"""A context variable that has a value inside a `with` block."""

import contextlib


@contextlib.contextmanager
def scoped(variable, value):
    """`variable`, a `contextvars.ContextVar`, is `value` inside and what it was behind it."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
