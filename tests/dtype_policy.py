"""Models that are built under another dtype policy than the global one."""

import contextlib

import keras


@contextlib.contextmanager
def dtype_policy(name):
    """Layers that are made within have the policy `name`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
