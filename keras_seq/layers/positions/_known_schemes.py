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
    if not isinstance(positions, PositionScheme):
        return positions
    config = keras.saving.serialize_keras_object(positions)
    config.pop("build_config", None)  # attention builds it, see `build_scheme`
    if positions.is_shared:
        # By this key of Keras' file format the layers of a loaded model share it again. Keras adds
        # it to nested configurations from the second on, not to the first.
        config["shared_object_id"] = id(positions)
    return config


def build_scheme(scheme, query_shape):
    """Build `scheme` for one more attention, which shares what another one has built."""
    if scheme.built:
        scheme.is_shared = True
    else:
        scheme.build(query_shape)


def copied_positions(positions):
    """The same scheme with weights of its own."""
    if isinstance(positions, PositionScheme):
        return type(positions).from_config(positions.get_config())
    return positions
