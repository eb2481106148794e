"""Few widths for rows of many lengths, so that they share a few compiled functions."""

import keras
from keras import ops

from keras_seq.generation._source_padding import masks_padding
from keras_seq.generation.search.beam_search import BeamSampler
from keras_seq.generation.search.token_search import TokenSearch
from keras_seq.stepping._target_call import is_sequence_layer

SMALLEST = 8


class Padding:
    """What of a `Generator`'s arguments may be padded beyond its longest row.

    Attributes:
        targets: whether the sequence that a call scores may be longer than it is.
        prompts: whether prompts may be, and are read up to a place that is known at run time: by
            `TokenSearch` and `BeamSampler`, which take a tensor as `SearchStart.position`, and by
            layers that know `padded_chunk`.
        room: how many time steps the layers on the path of the target have positions for.
        source_room: the same of all layers.
    """

    def __init__(self, generator):
        calls = generator.stepper.graph.target_calls
        operations = [call.call.operation for call in calls]
        stateful = [call.call.operation for call in calls if call.is_sequence]
        backend = keras.backend.backend()
        compiles = backend == "tensorflow" or (backend == "jax" and generator.jit_compile)
        known = compiles and all(map(_is_ours, stateful))
        search = type(generator.strategy).search
        self.prompts = known and search in (TokenSearch.search, BeamSampler.search)
        any_length = generator.stepper.graph.inputs[generator.stepper.target].shape[1] is None
        self.targets = known and any_length
        self.room = min(map(_positions, operations), default=float("inf"))
        everything = generator.stepper.graph.operations()
        self.source_room = min(map(_positions, everything), default=float("inf"))
        self._compiles, self._stepper, self._sources = compiles, generator.stepper, {}

    def source(self, name, padding):
        """Whether rows of a context input may end with more of the id `padding`."""
        if not self._compiles:
            return False
        if name not in self._sources:
            self._sources[name] = masks_padding(self._stepper, name, padding)
        return self._sources[name]


def padded_width(width, limit=float("inf")):
    """The next of 8, 16, 24, 32, 48, 64, 96, ...: powers of two, and the middle between two.

    Args:
        width: int, at least 1.
        limit: up to which width may be padded.

    Returns:
        An int of at least `width`, from 17 on less than half as much again.
    """
    power = max(SMALLEST, 1 << (width - 1).bit_length())
    middle = power // 4 * 3
    padded = middle if middle >= max(width, 2 * SMALLEST) else power
    return max(width, min(padded, limit))


def unpadded(x, width):
    """(..., N) tensor up to `width`. By way of NumPy: JAX would compile a slice for each width."""
    if x.shape[-1] == width:
        return x
    return ops.convert_to_tensor(ops.convert_to_numpy(x)[..., :width])


def _is_ours(layer):
    """Whether what a layer and those inside it do with a state is written in keras_seq.layers."""
    return all(
        getattr(type(inner), name).__module__.startswith("keras_seq.layers.")
        for inner in layer._flatten_layers()
        if is_sequence_layer(inner)
        for name in ("call", "step", "get_initial_state")
    )


def _positions(operation):
    positions = getattr(operation, "sequence_length", None)
    counts = isinstance(positions, int) and getattr(operation, "kind", None) != "none"
    return positions if counts else float("inf")
