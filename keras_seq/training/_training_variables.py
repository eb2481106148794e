"""All variables that a training step changes: those of a model, its optimizer and its metrics."""

import re

import keras
import numpy as np

from keras_seq.training._keras_private import build_from_batch
from keras_seq.training._replicas import num_replicas_of


def build(model, batch):
    """Make the variables of optimizer and metrics, which `fit` makes when it traces its first step.

    Then TensorFlow traces the step once: it traces again what has made variables.
    """
    replicas = num_replicas_of(model)
    if replicas > 1:
        batch = keras.tree.map_structure(lambda x: x[: len(x) // replicas], batch)
    with model.distribute_strategy.scope():
        build_from_batch(model, batch)


def _named(model):
    """`{id: (name, variable)}`: the model's variables, the optimizer's, then the metrics'.

    What a variable is called in full depends, for those of some optimizers, on where it was made.
    """
    named = [(variable.path, variable) for variable in model.variables]
    for owner in (model.optimizer, *model.metrics):
        kind = type(owner).__name__
        named += [(f"{kind}/{v.name}", v) for v in getattr(owner, "variables", ())]
    return {id(variable): (name, variable) for name, variable in named}


def read(model):
    """List of NumPy arrays."""
    return [keras.ops.convert_to_numpy(variable) for _, variable in _named(model).values()]


def assign(model, arrays):
    """Set all variables to what `read` gave."""
    for (_, variable), array in zip(_named(model).values(), arrays, strict=True):
        # NumPy's files know no bfloat16 and give its bytes.
        raw = array.dtype.kind == "V"
        variable.assign(array.view(np.dtype(variable.dtype)) if raw else array)


def describe(model):
    """`[name, shape, dtype]` of each variable.

    Numbers at the end of names are left out, because `lstm_8` is `lstm_9` in a process that has
    made one more layer.
    """
    return [
        [re.sub(r"_\d+(?=[_/]|$)", "", name), list(variable.shape), str(variable.dtype)]
        for name, variable in _named(model).values()
    ]


def first_difference(saved, current):
    """Where two descriptions differ, in words, or `None`."""
    for i, (a, b) in enumerate(zip(saved, current, strict=False)):
        if a != b:
            a, b = (f"`{name}` {tuple(shape)} {dtype}" for name, shape, dtype in (a, b))
            return f"variable {i} is {a} there and {b} here"
    if len(saved) != len(current):
        return f"it has {len(saved)} variables and the model has {len(current)}"
    return None
