"""A `Generator` as a config, apart from its model: what `TextGenerator.save` keeps."""

from keras_seq.generation.generator import Generator
from keras_seq.saving._objects import deserialized, serialized


def generator_config(generator):
    """Arguments of `Generator` as `json` holds them.

    What `min_length`, `banned_tokens` and the like made is among the logits processors.

    Raises:
        TypeError: naming the sampler or processor that cannot be saved, see `serialized`.
    """
    processors = enumerate(generator.logits_processors.processors)
    return {
        "max_length": int(generator.max_length),
        "start_token": _int(generator.start_token),
        "end_token": [int(token) for token in generator.end_tokens],
        "pad_token": int(generator.pad_token),
        "source_pad_token": _int(generator.source_pad_token),
        "sampler": serialized(generator.sampler, "sampler"),
        "logits_processors": [serialized(p, f"logits_processors[{i}]") for i, p in processors],
        "target": generator.stepper.target,
        "jit_compile": generator.jit_compile,
        "self_check": generator.self_check,
        "engine": generator.engine,
        "weights": generator.weights,
    }


def generator_of(config, model):
    """The `Generator` of a config, for `model`."""
    processors = enumerate(config["logits_processors"])
    made = {
        "sampler": deserialized(config["sampler"], "sampler"),
        "logits_processors": [deserialized(p, f"logits_processors[{i}]") for i, p in processors],
    }
    return Generator(model, **{**config, **made})


def _int(token):
    return None if token is None else int(token)
