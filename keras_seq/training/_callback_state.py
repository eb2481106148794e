"""What callbacks have counted and kept so far: read for a checkpoint, and put back."""

import collections
import json
import sys
import types

import numpy as np

_SET_BY_FIT = {"model", "_model", "params"}
_PLAIN = (bool, int, float, str, type(None))


class CallbackStates:
    """The attributes of callbacks that training has changed.

    Only what differs from the beginning of training is read and put back, so that the arguments
    that a callback is made with, such as `patience`, may be others in the next run. Attributes that
    it names in `without_state`, such as the model it reads, are no part of it.

    Args:
        callbacks: list of `keras.callbacks.Callback`, after their `on_train_begin`.
    """

    def __init__(self, callbacks):
        self._callbacks = {}
        count = collections.Counter()
        for callback in callbacks:
            kind = type(callback).__name__
            self._callbacks[f"{kind}_{count[kind]}"] = callback
            count[kind] += 1
        self._at_start = {name: dict(_states(c)[0]) for name, c in self._callbacks.items()}

    def read(self, arrays):
        """`(states, not_kept)`: what `json` can hold, and the attributes that it cannot.

        Args:
            arrays: dict that the arrays among the attributes are added to.
        """
        changed, not_kept = {}, []
        for name, callback in self._callbacks.items():
            states, others = _states(callback)
            changed[name] = {}
            for key, state in states.items():
                if not _equal(state, self._at_start[name].get(key)):
                    encoded, parts = state
                    prefix = f"callbacks/{name}/{key}"
                    arrays.update({f"{prefix}/{i}": part for i, part in enumerate(parts)})
                    changed[name][key] = encoded
            not_kept += [f"{type(callback).__name__}.{key}" for key in others]
        return changed, not_kept

    def put_back(self, states, arrays):
        """Set what `read` gave; returns the names of callbacks that are not there any more."""
        for name in self._callbacks.keys() & states.keys():
            for key, encoded in states[name].items():
                prefix = f"callbacks/{name}/{key}"
                value = _decode(encoded, lambda i, prefix=prefix: arrays[f"{prefix}/{i}"])
                setattr(self._callbacks[name], key, value)
        return sorted(name for name in states if states[name] and name not in self._callbacks)


def _states(callback):
    """`({attribute: (encoded, arrays)}, names of attributes that cannot be encoded)`."""
    states, others = {}, []
    for key, value in vars(callback).items():
        if key in _SET_BY_FIT or key in getattr(callback, "without_state", ()):
            continue
        arrays = []
        try:
            states[key] = _encode(value, arrays), arrays
        except TypeError:
            others.append(key)
    return states, others


def _encode(value, arrays):
    """`value` as `json` holds it, its arrays as indices into `arrays`, which they are added to."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biuf":
        arrays.append(np.array(value))
        return {"array": len(arrays) - 1}
    if (
        isinstance(value, types.FunctionType)
        and _function(value.__module__, value.__name__) is value
    ):
        return {"function": [value.__module__, value.__name__]}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encode(item, arrays) for item in value]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _encode(item, arrays) for key, item in value.items()}}
    raise TypeError(f"{type(value)} is no number, text, array, list or dict of such")


def _function(module, name):
    """A function of a module, such as the `monitor_op` that `EarlyStopping` chooses."""
    return getattr(sys.modules.get(module), name, None)


def _decode(encoded, array):
    if not isinstance(encoded, dict):
        return encoded
    (kind, content), *_ = encoded.items()
    if kind == "array":
        return array(content)[()]
    if kind == "function":
        return _function(*content)
    if kind == "dict":
        return {key: _decode(item, array) for key, item in content.items()}
    return {"list": list, "tuple": tuple}[kind](_decode(item, array) for item in content)


def _equal(state, other):
    if other is None or json.dumps(state[0]) != json.dumps(other[0]):
        return False
    return all(np.array_equal(a, b) for a, b in zip(state[1], other[1], strict=True))
