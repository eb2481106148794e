"""Models in half precision as models in float32, which is what LiteRT's operators compute in."""

import keras

from keras_seq.export._model_call import layers_of
from keras_seq.export.report import ExportError
from keras_seq.generation.generator import Generator

_HALF = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


def in_float32(model):
    """A model or generator that computes in float32, with the same weights.

    Args:
        model: functional `keras.Model`, or a `Generator`.

    Returns:
        `model` itself where no layer computes in half precision; else another one, built from its
        config with the policy float32.

    Raises:
        ExportError: if it cannot be built from its config.
    """
    if not isinstance(model, Generator):
        return _model_in_float32(model)
    full = _model_in_float32(model.model)
    if full is model.model:
        return model
    return Generator(
        full,
        max_length=model.max_length,
        start_token=model.start_token,
        end_token=model.end_tokens,
        pad_token=model.pad_token,
        sampler=model.sampler,
        target=model.stepper.target,
        jit_compile=model.jit_compile,
        self_check=model.self_check,
        logits_processors=model.logits_processors.processors,
        source_pad_token=model.source_pad_token,
    )


def _model_in_float32(model):
    half = [layer for layer in layers_of(model) if layer.compute_dtype in _HALF]
    if not half:
        return model
    classes = {type(layer).__name__: type(layer) for layer in layers_of(model)}
    try:
        config = _replaced(keras.saving.serialize_keras_object(model))
        config.pop("compile_config", None)
        # The model is at hand already: what its config runs is nothing new.
        full = keras.saving.deserialize_keras_object(config, classes, safe_mode=False)
        full.set_weights(model.get_weights())
    except Exception as error:
        raise ExportError(
            f"The layer `{half[0].name}` computes in {half[0].compute_dtype}, which LiteRT does "
            "not.\n"
            "Built anew from its config, the model did not become one in float32: "
            f"{type(error).__name__}: {str(error).strip().splitlines()[0]}\n"
            "Give its layers a `get_config` that builds them again, or build it under "
            '`keras.config.set_dtype_policy("float32")` and load the weights.'
        ) from error
    return full


def _replaced(config, key=None):
    """A config with float32 for each dtype and policy of half precision in it."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {"name": _replaced(config["config"]["name"])}}
        return {k: _replaced(v, k) for k, v in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_replaced(v) for v in config)
    half = isinstance(config, str) and config in _HALF
    return "float32" if half and key != "name" else config  # a layer may have any name
