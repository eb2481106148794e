"""What a compiled function of a model depends on besides the values of its weights."""

import weakref

import keras


class ModelFingerprint:
    """Says whether a function traced from a model would be another one if it were traced anew.

    A trace reads the weights' current values, but holds on to the variables, the layers' activation
    functions and their dtypes. All of these are replaced by `layer.enable_lora`, `model.quantize`
    or an assignment. Two fingerprints of a model are equal where none was replaced, added or
    removed in between.

    Objects are compared by identity and kept, so that no new object can take the place of an old
    one in memory and pass for it.

    Args:
        model: built `keras.Model`.
    """

    def __init__(self, model):
        objects, settings = [], [keras.config.dtype_policy().name]
        # Keras' own lists of each layer, because `model.variables` takes several times as long.
        for layer in model._flatten_layers():
            attributes = vars(layer)
            objects.append(layer)
            objects.append(attributes["_dtype_policy"])
            objects += attributes["_trainable_variables"]
            objects += attributes["_non_trainable_variables"]
            for name in _activation_names(layer, attributes):
                objects.append(attributes.get(name))
            if attributes.get("lora_enabled"):
                settings.append((attributes.get("lora_rank"), attributes.get("lora_alpha")))
        self.objects = objects
        self.settings = settings
        self.ids = [*map(id, objects)]

    def __eq__(self, other):
        if not isinstance(other, ModelFingerprint):
            return NotImplemented
        return self.ids == other.ids and self.settings == other.settings

    __hash__ = None


_names = weakref.WeakKeyDictionary()  # class of layers -> number of attributes -> names


def _activation_names(layer, attributes):
    """The attributes of a layer that hold activation functions, found once for each class."""
    known = _names.setdefault(type(layer), {})
    if len(attributes) not in known:
        known[len(attributes)] = [name for name in attributes if name.endswith("activation")]
    return known[len(attributes)]
