"""Chunks that are padded on the right: how many of their time steps there are, known at run time.

So that prompts of many lengths share a compiled function, they are padded to a few widths. A mask
keeps the padding out of recurrent states and caches, but a masked step counts as a position, and a
sliding window moves on. Inside `padded_chunk` the layers count the steps that there are.
"""

import contextlib
import contextvars

from keras_seq.layers._affine import sizes
from keras_seq.layers._scoped import scoped

_count = contextvars.ContextVar("padded_chunk", default=None)


@contextlib.contextmanager
def padded_chunk(count):
    """States go on after `count` steps of what is called inside, an int32 scalar tensor."""
    with scoped(_count, count):
        yield


def steps_in(x):
    """How many time steps of x (B, T, ...) the state goes on by: T, or what `padded_chunk` says."""
    count = _count.get()
    return sizes(x)[1] if count is None else count
