"""The calls that `run_artifact` gives to a script; a script's own folder is on its path."""

import collections

import numpy as np


def read_calls(path):
    """Dict from the number of a call, in their order, to a dict of arrays, of those in `path` that
    are named CALL:NAME.
    """
    calls = collections.defaultdict(dict)
    for key, value in np.load(path).items():
        number, name = key.split(":", 1)
        calls[int(number)][name] = value
    return dict(sorted(calls.items()))
