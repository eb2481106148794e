import importlib.util
import json

import keras
import pytest

from keras_seq import models
from keras_seq.export import ExportError, to_ctranslate2, verify
from keras_seq.export._exported_generator import ExportedGenerator
from keras_seq.generation import BeamSampler, Generator
from keras_seq.layers import GRU
from tests.generation.generation_models import hybrid, shaken, sources, translator

needs_ctranslate2 = pytest.mark.skipif(
    importlib.util.find_spec("ctranslate2") is None,
    reason="CTranslate2 is not installed: pip install ctranslate2",
)
SIZES = {"sequence_length": 32, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
ONE_VOCABULARY = {"tie_embeddings": True, "share_embeddings": True}
LLAMA = {
    "normalization": "rms",
    "activation": "silu",
    "gated": True,
    "use_bias": False,
    "positions": "rotary",
    "padding_id": None,
}
ENCODER_DECODERS = {
    "vaswani": {
        "normalize_first": False,
        "positions": "interleaved",
        "use_attention_bias": False,
        **ONE_VOCABULARY,
    },
    "bart": {
        "normalize_first": False,
        "activation": "gelu",
        "positions": "learned",
        "position_offset": 2,
        "scale_embeddings": False,
        "normalize_embeddings": True,
        "use_logits_bias": True,
        "source_padding_id": 1,
        "target_padding_id": 1,
        **ONE_VOCABULARY,
    },
    "modern": {
        "positions": "rotary",
        "num_key_value_heads": 1,
        "normalization": "rms",
        "gated": True,
        "logits_scale": 0.5,
        "target_padding_id": None,
    },
    "no positions, no masks": {
        "positions": "none",
        "source_padding_id": None,
        "target_padding_id": None,
    },
}
DECODERS = {
    "llama": {**LLAMA, "tie_embeddings": False, "num_key_value_heads": 1},
    "gemma": {**LLAMA, "key_dim": 4, "attention_scale": 0.3, "scale_embeddings": True},
    "gpt2": {"activation": "gelu_tanh", "padding_id": None},
    "alibi": {"positions": "alibi", "num_heads": 6, "hidden_dim": 24},
}
BEAMS = {"length_penalty": 0.6, "length_penalty_kind": "power", "early_stopping": True}


def encoder_decoder(**options):
    return shaken(models.transformer(20, 20, **{**SIZES, "num_layers": 1, **options}))


def decoder_only(**options):
    sizes = {**SIZES, "num_layers": 1}
    return shaken(models.decoder_only_transformer(20, **{**sizes, **options}))


def generator_of(model, **options):
    options = {"max_length": 6, "start_token": 2, "end_token": 3, **options}
    return Generator(model, jit_compile=False, self_check=False, **options)


def thorough_but(first, names):
    others = [pytest.param(name, marks=pytest.mark.thorough) for name in names if name != first]
    return [first, *others]


@pytest.fixture(autouse=True)
def without_the_latency_of_the_keras_model(monkeypatch):
    """Which would compile a generation loop in each test."""
    monkeypatch.setattr(ExportedGenerator, "model_latency", lambda self: float("nan"))


@needs_ctranslate2
@pytest.mark.parametrize("name", thorough_but("vaswani", ENCODER_DECODERS))
def test_an_encoder_decoder_translates_token_for_token(name, tmp_path):
    model = encoder_decoder(**ENCODER_DECODERS[name])
    pad = 1 if name == "bart" else 0
    report = to_ctranslate2(generator_of(model, pad_token=pad), tmp_path / "model")
    assert report.agrees and report.tokens > 64 and report.near_ties == 0
    assert report.latency > 0 and "beam_size=1" in report.signatures["translate_batch"]


@needs_ctranslate2
@pytest.mark.parametrize("name", thorough_but("llama", DECODERS))
def test_a_decoder_only_model_goes_on_from_prompts_of_every_length(name, tmp_path):
    prompt = [[5, 6, 7], [8], [9, 10], [4, 4, 4]]
    generator = generator_of(decoder_only(**DECODERS[name]))
    report = to_ctranslate2(generator, tmp_path / "model", prompt=prompt)
    assert report.agrees and report.inputs == 4 and report.near_ties == 0


@needs_ctranslate2
def test_beam_search_is_that_of_the_options_in_the_folder(tmp_path):
    generator = generator_of(encoder_decoder(), sampler=BeamSampler(3, **BEAMS), max_length=4)
    report = to_ctranslate2(generator, tmp_path / "model", inputs=sources(4))
    assert report.agrees and report.near_ties == 0
    facts = json.loads((tmp_path / "model" / "keras_seq.json").read_text())
    assert facts["options"]["beam_size"] == 3 and facts["options"]["length_penalty"] == 0.6


@needs_ctranslate2
def test_int8_weights_make_the_folder_smaller_and_verify_finds_other_weights(tmp_path):
    generator = generator_of(decoder_only(hidden_dim=64, padding_id=None))
    report = to_ctranslate2(generator, tmp_path / "model", quantization="int8")
    assert report.agrees and report.atol == 1.0 and report.largest_difference > 1e-3
    weights = sum(w.size for w in generator.model.get_weights())
    assert report.size < 2 * weights  # and not 4
    generator.model.set_weights([-w for w in generator.model.get_weights()])
    with pytest.raises(ExportError, match="does not agree"):
        verify(tmp_path / "model", generator)
    weights = tmp_path / "model" / "model.bin"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ExportError, match="is damaged"):
        verify(tmp_path / "model", generator)


@needs_ctranslate2
@pytest.mark.thorough
def test_padding_that_the_target_masks_and_the_model_writes_is_named_in_the_error(tmp_path):
    with pytest.raises(ExportError, match=r"(?s)not agree.*chose 0, the id of padding"):
        to_ctranslate2(generator_of(decoder_only(hidden_dim=64)), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def with_two_norms():
    x = keras.Input((None,), dtype="int32", name="tokens")
    model = decoder_only()
    y = model.layers[1](x)
    y = model.get_layer("decoder_0")(keras.layers.LayerNormalization()(y))
    y = keras.layers.Dense(20)(keras.layers.LayerNormalization(name="twice")(model.layers[-1](y)))
    return keras.Model(x, y)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: translator("gru"), "`concatenate.*` .Concatenate.: it reads what"),
        (hybrid, "`add` .Add.: it reads what `multi_head_self_attention` reads, too"),
        (lambda: decoder_only(sliding_window=4), "`decoder_0` .* it has a sliding window"),
        (lambda: decoder_only(activation="elu"), "`decoder_0` .* its activation must be"),
        (lambda: encoder_decoder(positions="alibi"), "an encoder .* has no ALiBi"),
        (with_two_norms, "`twice` .LayerNormalization.: blocks are followed by at most"),
    ],
)
def test_a_layer_that_ctranslate2_has_not_is_named(make, message, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    with pytest.raises(ValueError, match=f"(?s)to_ctranslate2 .*{message}.*to_litert"):
        to_ctranslate2(generator_of(make()), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_search_that_ctranslate2_has_not_is_refused_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    model = decoder_only()
    for options, message in [
        ({"sampler": "top_k"}, "sampler=TopKSampler.*sampler='greedy'"),
        ({"sampler": BeamSampler(3)}, "length_penalty_kind='power', early_stopping=True"),
        ({"banned_tokens": [0]}, "`suppress_sequences`"),
        ({"end_token": None}, "needs a Generator with an `end_token`"),
    ]:
        with pytest.raises(ValueError, match=message):
            to_ctranslate2(generator_of(model, **options), tmp_path / "model")
    with pytest.raises(TypeError, match="Received: GRU"):
        to_ctranslate2(GRU(3), tmp_path / "model")
    with pytest.raises(ValueError, match="`quantization` of to_ctranslate2 must be one of"):
        to_ctranslate2(generator_of(model), tmp_path / "model", quantization="int4")
    assert not list(tmp_path.iterdir())


def test_without_ctranslate2_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "keras_seq\[ctranslate2\]"'):
        to_ctranslate2(None, tmp_path / "model")
