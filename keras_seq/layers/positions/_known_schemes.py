"""What the argument `positions` of attention, blocks and models may be."""

import keras

from keras_seq.layers.positions.alibi import AlibiBias
from keras_seq.layers.positions.position_scheme import PositionScheme
from keras_seq.layers.positions.rotary import RotaryEmbedding

SCHEMES = {"rotary": RotaryEmbedding, "alibi": AlibiBias}


def checked_positions(layer, positions):
    """`positions` as given to `layer`: `None`, a name or a scheme; from a configuration, too.

    Raises:
        ValueError: if it is none of them.
    """
    if isinstance(positions, dict):
        positions = keras.saving.deserialize_keras_object(positions)
    named = isinstance(positions, str) and positions in SCHEMES
    if not (positions is None or named or isinstance(positions, PositionScheme)):
        raise ValueError(
            f"`positions` of {layer} must be None, one of {list(SCHEMES)}, or a PositionScheme "
            f"such as RotaryEmbedding or AlibiBias. Received: {positions!r}"
        )
    return positions


def serialized_positions(positions):
    """For `get_config`: what `checked_positions` takes back."""
    if isinstance(positions, PositionScheme):
        return keras.saving.serialize_keras_object(positions)
    return positions


def copied_positions(positions):
    """The same scheme with weights of its own."""
    if isinstance(positions, PositionScheme):
        return type(positions).from_config(positions.get_config())
    return positions
