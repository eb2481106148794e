"""A functional model as a function that is called chunk after chunk."""

import keras
import numpy as np

from keras_seq.export._exported_model import LENGTHS, ExportedModel, check_functional
from keras_seq.export._model_call import ModelCall
from keras_seq.export._model_inputs import checked_arrays, model_shapes, random_arrays
from keras_seq.export._stream_states import stream_states

_LARGEST_NUMBER_OF_CHUNKS = 100


class ExportedStream(ExportedModel):
    """A model that is called chunk after chunk: it also takes states, and gives the next ones.

    The states are named `state_0`, `state_1`, ... and begin with zeros. The chunks' outputs are
    compared with one call of the model on the whole sequence.

    Args:
        model, inputs, atol, shapes: see `ExportedModel`.
        max_length: largest number of time steps of a stream; needed where the model attends.
        states: dict from state name to `(shape, dtype)`, of an artifact that exists already; else
            they follow from the model.

    Raises:
        TypeError, ValueError: see `ExportedModel`; ValueError if the model cannot be streamed.
    """

    signature = "step"

    def __init__(self, model, inputs=None, atol=1e-5, shapes=None, max_length=None, states=None):
        check_functional(model)
        self.max_length = max_length
        if states is None:
            shapes = model_shapes(ModelCall(model)) if shapes is None else shapes
            states, self.stepper, self.state_structure = stream_states(model, shapes, max_length)
        self.states = states
        super().__init__(model, inputs, atol, shapes)

    @property
    def chunk_length(self):
        """T of a chunk, or `None` where it is open."""
        return self.shapes[self.names[0]][1]

    def random_sequences(self):
        """Two, of three chunks or up to the end of a stream that has one."""
        chunk = self.chunk_length or 1
        length = sum(LENGTHS) if self.chunk_length is None else 3 * chunk
        if self.max_length is not None:
            length = min(self.max_length, _LARGEST_NUMBER_OF_CHUNKS * chunk) // chunk * chunk
        return [self.random(i, length) for i in range(2)]

    def random(self, seed, length, padding=None):
        open_time = {n: (shape[0], None, *shape[2:]) for n, shape in self.shapes.items()}
        return random_arrays(self.model_call, open_time, seed, length, padding)

    def checked(self, inputs):
        arrays = checked_arrays(self.model_call, self.shapes, inputs, whole_chunks=True)
        length = next(iter(arrays.values())).shape[1]
        if self.max_length is not None and length > self.max_length:
            raise ValueError(
                f"`inputs` must have at most max_length={self.max_length} time steps. "
                f"Received: {length}"
            )
        return arrays

    def calls_of(self, whole):
        calls = []
        for sequence in whole:
            ((name, array),) = sequence.items()
            zeros = {
                state: np.zeros([len(array) if n is None else n for n in shape], dtype)
                for state, (shape, dtype) in self.states.items()
            }
            begin = 0
            for i, width in enumerate(self._widths(array.shape[1])):
                chunk = {name: array[:, begin : begin + width]}
                calls.append({**zeros, **chunk} if i == 0 else chunk)
                begin += width
        return calls

    def _widths(self, length):
        """Widths of the chunks of a sequence: open ones differ, a single step is among them."""
        if self.chunk_length is not None:
            return [self.chunk_length] * (length // self.chunk_length)
        first = LENGTHS[1]
        return [n for n in (min(first, length - 1), 1) if n > 0] + (
            [length - first - 1] if length > first + 1 else []
        )

    def metadata(self):
        return {"format": 1, "kind": "stream", "max_length": self.max_length}, {}

    def specs(self):
        return {**super().specs(), **self.states}

    def __call__(self, **arguments):
        state = [arguments[name] for name in self.states]
        state = keras.tree.pack_sequence_as(self.state_structure, state)
        y, state = self.stepper.prefill(arguments[self.names[0]], state)
        outputs = dict(zip(self.output_names, keras.tree.flatten(y), strict=True))
        return {**outputs, **dict(zip(self.states, keras.tree.flatten(state), strict=True))}

    def joined(self, parts):
        return np.concatenate(parts, axis=1)
