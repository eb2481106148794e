"""KerasHub's BART and GPT-2 for generate.py, with its own caches, samplers and compiled loop."""

import functools

import keras_hub
import numpy as np


def build(system, case, threads):
    """A function that generates (B, N) tokens."""
    sizes = tuple(case[n] for n in ("kind", "vocabulary", "layers", "width", "heads", "inner"))
    model = make_model(*sizes)
    beams = case["beams"]
    sampler = "greedy" if beams == 1 else keras_hub.samplers.BeamSampler(num_beams=beams)
    model.compile(sampler=sampler)
    batch, new, width = case["batch"], case["new"], case["given"]
    rng = np.random.default_rng(0)
    given = rng.integers(4, case["vocabulary"], size=(batch, width)).astype("int32")
    if case["kind"] == "translation":
        target = np.zeros((batch, 1 + new), "int32")
        target[:, 0] = 2
        inputs = {
            "encoder_token_ids": given,
            "encoder_padding_mask": np.ones_like(given),
            "decoder_token_ids": target,
            "decoder_padding_mask": (target > 0).astype("int32"),
        }
        name, first = "decoder_token_ids", 1
    else:
        ids = np.zeros((batch, width + new), "int32")
        ids[:, :width] = given
        inputs = {"token_ids": ids, "padding_mask": (ids > 0).astype("int32")}
        name, first = "token_ids", width
    return lambda: np.asarray(model.generate(inputs, stop_token_ids=None)[name])[:, first:]


@functools.lru_cache(1)
def make_model(kind, vocabulary, layers, width, heads, inner):
    sizes = {
        "vocabulary_size": vocabulary,
        "num_layers": layers,
        "num_heads": heads,
        "hidden_dim": width,
        "intermediate_dim": inner,
        "max_sequence_length": 256,
    }
    if kind == "translation":
        backbone = keras_hub.models.BartBackbone(**sizes)
        return keras_hub.models.BartSeq2SeqLM(backbone=backbone, preprocessor=None)
    backbone = keras_hub.models.GPT2Backbone(**sizes)
    return keras_hub.models.GPT2CausalLM(backbone=backbone, preprocessor=None)
