"""`ExportedFunction`: what an artifact computes, and how its outputs are compared."""

import itertools
import time

import numpy as np


class ExportedFunction:
    """A function of named tensors that is exported, and the calls on which it is compared.

    Attributes:
        model: the Keras model, or the generator.
        signature: name of the function in the artifact.
        calls: list of dicts from input name to NumPy array: what the artifact is called with. An
            input that a call lacks, such as a state, is the output of that name of the call before.
        atol: tolerance of numbers.
        options: dict of what an `ExportTarget` needs to know when it writes.
    """

    signature = "serve"

    def __init__(self, model, atol):
        self.model, self.atol = model, atol
        self.calls, self.options = [], {}

    def specs(self):
        """Dict from input name to `(shape, dtype)`; an open dimension is `None`."""
        raise NotImplementedError

    def __call__(self, **inputs):
        """Dict from output name to tensor; in `keras.ops`, to be traced."""
        raise NotImplementedError

    def compare(self, what, outputs):
        """Compare outputs with the model's own call on the whole sequences.

        Args:
            what: the artifact, for errors: "The LiteRT artifact".
            outputs: list of dicts from output name to array, one for each of `calls`.

        Returns:
            Dict of fields of an `ExportReport`.

        Raises:
            ExportError: if the artifact does not agree with the model.
        """
        raise NotImplementedError

    def model_latency(self):
        """Median milliseconds of a call of the Keras model."""
        raise NotImplementedError


def median_milliseconds(function, arguments, repeats=20):
    """Median time of `function`, called with each of a list of arguments in turn."""
    for argument in arguments:
        function(argument)  # compiles
    times = []
    for argument in itertools.islice(itertools.cycle(arguments), repeats):
        began = time.perf_counter()
        function(argument)
        times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times))
