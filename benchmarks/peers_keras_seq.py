"""keras_seq for generate.py: compiled by TensorFlow or JAX, and run by LiteRT."""

import functools

import numpy as np

import keras_seq

START = 2
ENGINES = {
    "keras_seq_litert": {"engine": "litert"},
    "keras_seq_int8": {"weights": "int8"},
}


def build(system, case, threads):
    """A function that generates (B, N) tokens."""
    generator = make_generator(case, **ENGINES.get(system, {}))
    rng = np.random.default_rng(0)
    given = rng.integers(4, case["vocabulary"], size=(case["batch"], case["given"])).astype("int32")
    if case["kind"] == "translation":
        return lambda: np.asarray(generator.generate(given).tokens)
    return lambda: np.asarray(generator.generate(prompt=given).tokens)[:, case["given"] :]


def make_generator(case, **engine):
    sampler = "greedy"
    if case["beams"] > 1:
        sampler = keras_seq.generation.BeamSampler(num_beams=case["beams"])
    start = START if case["kind"] == "translation" else None
    sizes = tuple(case[n] for n in ("kind", "vocabulary", "layers", "width", "heads", "inner"))
    return keras_seq.generation.Generator(
        make_model(*sizes), max_length=case["new"], start_token=start, sampler=sampler, **engine
    )


@functools.lru_cache(1)
def make_model(kind, vocabulary, layers, width, heads, inner):
    if kind == "translation":
        return keras_seq.models.transformer(
            vocabulary,
            vocabulary,
            num_layers=layers,
            num_heads=heads,
            hidden_dim=width,
            intermediate_dim=inner,
        )
    return keras_seq.models.decoder_only_transformer(
        vocabulary,
        num_layers=layers,
        num_heads=heads,
        hidden_dim=width,
        intermediate_dim=inner,
    )
