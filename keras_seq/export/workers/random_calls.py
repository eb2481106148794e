"""Random inputs for files of which only shapes and types are known, and how long a call takes.

A script's own folder is on its path.
"""

import time

import numpy as np

OPEN = 8  # in place of open dimensions; the first one, the batch, is 1
REPEATS = 20


def random_array(shape, dtype):
    """Strings are words, ids 0 or 1, for more may be outside a vocabulary that is not known."""
    rng = np.random.default_rng(0)
    shape = [(1 if i == 0 else OPEN) if n is None or n < 0 else int(n) for i, n in enumerate(shape)]
    dtype = np.dtype(dtype)
    if dtype.kind not in "fiub":
        return np.full(shape, "one two three", object)
    if dtype.kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, 2, size=shape).astype(dtype)


def timed(call, arrays):
    """Median milliseconds of a call, or the first line of the error that it ends in."""
    times = []
    try:
        call(arrays)
        for _ in range(REPEATS):
            began = time.perf_counter()
            call(arrays)
            times.append(time.perf_counter() - began)
    except Exception as error:  # random inputs need not fit what the file computes
        return f"random inputs do not run: {next(iter(str(error).splitlines()), '')[:150]}"
    return 1e3 * float(np.median(times))
