"""Samplers and the like as configs: a registered name, and what `get_config` gives."""

import json

import keras

_WAY_OUT = (
    "Write it as a class with a `get_config` that gives its constructor's arguments, decorated "
    'with `@keras.saving.register_keras_serializable(package="...")`.'
)


class Configured:
    """`get_config` and `from_config` as Keras has them, for objects that are no layers."""

    def get_config(self):
        """The constructor's arguments, as Keras' `get_config`; what `save` keeps of the object."""
        return {}

    @classmethod
    def from_config(cls, config):
        """An object from what `get_config` gave."""
        return cls(**{n: keras.saving.deserialize_keras_object(v) for n, v in config.items()})


def serialized(thing, name):
    """The config of an object, for `deserialized`.

    Args:
        thing: instance of a class that is registered with Keras and has `get_config`.
        name: what it is to the user, for errors.

    Raises:
        TypeError: if `thing` is not such an object, or its config does not make it again.
    """
    kind = type(thing)
    label = getattr(thing, "__name__", kind.__qualname__)
    if keras.saving.get_registered_object(keras.saving.get_registered_name(kind)) is not kind:
        what = "a Python function" if hasattr(thing, "__code__") else "not registered with Keras"
        raise TypeError(f"`{name}` cannot be saved: {label} is {what}. {_WAY_OUT}")
    made_by, told_by = _owner(kind, "__init__"), _owner(kind, "get_config")
    if told_by is None or (made_by is not told_by and issubclass(made_by, told_by)):
        raise TypeError(
            f"`{name}` cannot be saved: {label} has an `__init__` and no `get_config` of its own. "
            f"{_WAY_OUT}"
        )
    try:
        config = keras.saving.serialize_keras_object(thing)
        json.dumps(config)
    except (TypeError, ValueError) as error:  # of something in the config
        raise TypeError(f"`{name}` ({label}) cannot be saved: {error}") from error
    return config


def deserialized(config, name):
    """The object of a config.

    Only classes that are registered are looked at, so that a file cannot name a module to import.

    Raises:
        ValueError: if a class is not registered.
    """
    for registered_name in _registered_names(config):
        if keras.saving.get_registered_object(registered_name) is None:
            raise ValueError(
                f"`{name}` in the file is a {registered_name!r}, which is not registered with "
                "Keras. Import the module whose class is decorated with "
                "`@keras.saving.register_keras_serializable` before loading."
            )
    return keras.saving.deserialize_keras_object(config, safe_mode=True)


def _owner(kind, name):
    """The class among the bases of `kind` that defines `name`."""
    return next((base for base in kind.__mro__ if name in vars(base)), None)


def _registered_names(config):
    """Of all objects in a config; Keras' own, such as arrays, have none and are left out."""
    if isinstance(config, list):
        for each in config:
            yield from _registered_names(each)
    elif isinstance(config, dict):
        if "class_name" in config and not str(config["class_name"]).startswith("__"):
            yield str(config.get("registered_name"))
        for each in config.values():
            yield from _registered_names(each)
