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

    Example:

    ```python
    import numpy as np
    import keras_seq

    class AnyFunction(keras_seq.export.ExportedFunction):
        def __init__(self, model, atol=1e-6):
            super().__init__(model, atol)
            self.calls = [{"x": np.float32(x)} for x in range(3)]

        def compare(self, what, outputs):
            got = [output["y"] for output in outputs]
            difference = max(abs(y - self.model(**c)) for y, c in zip(got, self.calls))
            if difference > self.atol:
                raise keras_seq.export.ExportError(f"{what} differs by {difference}")
            return {"values": 3, "largest_difference": float(difference), "atol": self.atol}

    exported = AnyFunction(lambda x: 2 * x)
    print(exported.compare("A good artifact", [{"y": 0.0}, {"y": 2.0}, {"y": 4.0}]))
    ```
    """

    signature = "serve"

    def __init__(self, model, atol):
        self.model, self.atol = model, atol
        self.calls, self.options = [], {}

    @property
    def keras_model(self):
        """The `keras.Model` whose weights the artifact holds."""
        return self.model

    @property
    def tokenizers(self):
        """Tokenizers that the artifact holds."""
        return []

    def metadata(self):
        """`(metadata, files)` that an artifact carries; see `keras_seq.runtime._metadata`."""
        return {}, {}

    def specs(self):
        """Dict from input name to `(shape, dtype)`; an open dimension is `None`."""
        raise NotImplementedError

    def __call__(self, **inputs):
        """Dict from output name to tensor; in `keras.ops`, to be traced."""
        raise NotImplementedError

    def functions(self):
        """Dict from signature to `(function, specs)`: all functions of the artifact."""
        return {self.signature: (self.__call__, self.specs())}

    def jit_compiled(self):
        """The same function with its computation compiled by XLA; to be traced by TensorFlow."""
        import tensorflow as tf

        return tf.function(self.__call__, autograph=False, jit_compile=True)

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

    def both_outputs(self, outputs):
        """What a metric is computed from.

        Args:
            outputs: of the artifact, see `compare`.

        Returns:
            `(own, artifact's)`: two dicts from output name to the values of all rows.
        """
        raise ValueError(f"`metric` of verify is not for a {type(self.model).__name__}.")

    def model_latency(self):
        """Median milliseconds of a call of the Keras model; NaN where it is not measured."""
        return float("nan")


def rows_of_calls(count, size=64):
    """Slices of rows for a file whose batch is open: some of one row, which are timed, and batches.

    Args:
        count: number of rows.
        size: of a batch.
    """
    single = min(20, (count + 1) // 2)
    starts = [*range(single), *range(single, count, size), count]
    return [slice(a, b) for a, b in itertools.pairwise(starts)]


def median_milliseconds(function, arguments, repeats=20):
    """Median time of `function`, called with one of a list of arguments after the other."""
    for argument in arguments:
        function(argument)  # compiles
    times = []
    for argument in itertools.islice(itertools.cycle(arguments), repeats):
        began = time.perf_counter()
        function(argument)
        times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times))
