"""A LiteRT file that is loaded: its signatures as functions of arrays by name."""

import os

import numpy as np

from keras_seq.runtime._metadata import read_metadata


class LoadedFile:
    """A file and what it says of itself.

    Args:
        path: of the file.
        num_threads: of a call.

    Raises:
        ImportError: without ai-edge-litert.
        ValueError: if there is no such file, or it is no LiteRT file.
    """

    def __init__(self, path, num_threads=1):
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise ImportError(
                "keras_seq.runtime needs the package ai-edge-litert: pip install ai-edge-litert"
            ) from error
        self.path = os.fspath(path)
        if not os.path.isfile(self.path):
            raise ValueError(f"`path` must be a LiteRT file. Received: {self.path!r}, no file")
        self.metadata, self.files = read_metadata(self.path)
        try:
            self._interpreter = Interpreter(model_path=self.path, num_threads=num_threads)
            self.signatures = list(self._interpreter.get_signature_list())
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                f"`path` must be a LiteRT file. Received: {self.path!r} ({error})"
            ) from error

    def function(self, signature):
        """`(run, inputs)`: a function of arrays by name, and its inputs' details by name.

        Raises:
            ValueError: if the file has no such signature.
        """
        if signature not in self.signatures:
            raise ValueError(
                f"{self.path!r} must have the signature {signature!r}. It has {self.signatures}."
            )
        runner = self._interpreter.get_signature_runner(signature)

        def run(**arrays):
            # Copies: the interpreter's own arrays change with its next call.
            return {name: np.array(value) for name, value in runner(**arrays).items()}

        return run, runner.get_input_details()


def checked(name, value, details):
    """An array for an input of a signature.

    Args:
        name: of the input.
        value: array.
        details: of the input, as LiteRT gives them.

    Raises:
        ValueError: if it has another shape, or type.
    """
    array, dtype = np.asarray(value), np.dtype(details["dtype"])
    shape = [int(n) for n in details["shape_signature"]]
    fits = array.ndim == len(shape)
    fits = fits and all(n in (-1, m) for n, m in zip(shape, array.shape, strict=True))
    if not fits or not np.can_cast(array.dtype, dtype, "same_kind"):
        raise ValueError(
            f"`{name}` must be {dtype.name} of shape {shape} (-1: open). Received: "
            f"{array.dtype.name} of shape {list(array.shape)}"
        )
    return array.astype(dtype)
