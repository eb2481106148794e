"""`LiteRTStream`: a model that is called chunk after chunk."""

import numpy as np

from keras_seq.runtime._interpreter import LoadedFile, checked


class LiteRTStream:
    """Runs a file of `keras_seq.export.to_litert(model, path, streaming=True)`.

    Each call gets the next time steps of a sequence and gives what the model gives for them; the
    states in between are kept here. The outputs of all calls together are those of one call of the
    model on the whole sequence.

    Args:
        path: of the file.
        num_threads: of a call.

    Attributes:
        position: how many time steps were read since the last `reset`.
        max_length: the largest number of time steps of a sequence, or `None`.

    Raises:
        ImportError: without ai-edge-litert.
        ValueError: if there is no such file, or it is no file for streaming.

    Example:

    ```python
    import keras
    import numpy as np
    import keras_seq
    from keras_seq.runtime import LiteRTStream

    x = keras.Input((None, 4), name="x")
    model = keras.Model(x, keras_seq.layers.GRU(8, return_sequences=True, name="y")(x))
    keras_seq.export.to_litert(model, "stream.tflite", time=1, streaming=True)

    stream = LiteRTStream("stream.tflite")
    for _ in range(3):
        print(stream(np.ones((1, 1, 4), "float32")).shape)  # (1, 1, 8): (B, T, D)
    ```
    """

    def __init__(self, path, num_threads=1):
        file = LoadedFile(path, num_threads)
        self._run, details = file.function("step")
        self.max_length = file.metadata.get("max_length")
        self._states = {n: d for n, d in details.items() if n.startswith("state_")}
        ((self.input_name, self._input),) = (
            (n, d) for n, d in details.items() if n not in self._states
        )
        self.reset()

    def reset(self):
        """Begin another sequence."""
        self._kept, self.position = None, 0

    def __call__(self, x):
        """The model's output for the next time steps.

        Args:
            x: (B, T, ...) array, of the shape that the file takes. B stays the same until `reset`.

        Returns:
            (B, T, ...) array, or a dict of such where the model has several outputs.

        Raises:
            ValueError: if x has another shape or type, or the sequence would have more than
                `max_length` time steps.
        """
        x = checked(self.input_name, x, self._input)
        steps = x.shape[1]
        if self.max_length is not None and self.position + steps > self.max_length:
            raise ValueError(
                f"A sequence has at most max_length={self.max_length} time steps. Received: "
                f"{steps} after {self.position}. Begin another one with `reset()`, or export the "
                "model with a larger `max_length`."
            )
        if self._kept is None:
            self._kept = {n: _zeros(details, len(x)) for n, details in self._states.items()}
        outputs = self._run(**{self.input_name: x}, **self._kept)
        self._kept = {name: outputs.pop(name) for name in self._states}
        self.position += steps
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))


def _zeros(details, rows):
    shape = [rows if n < 0 else int(n) for n in details["shape_signature"]]
    return np.zeros(shape, details["dtype"])
