"""Published architectures are one call each: parameters by formula, padding, stepping."""

import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from keras_seq import models
from keras_seq.layers import RelativePositionBias, RotaryEmbedding
from keras_seq.layers._keras_private import get_mask
from keras_seq.stepping import Stepper

V, T, D, F, N, H, G, K = 11, 9, 8, 12, 2, 4, 2, 3  # K where a head's width is its own
SIZES = {
    "sequence_length": T,
    "num_layers": N,
    "num_heads": H,
    "hidden_dim": D,
    "intermediate_dim": F,
    "dropout": 0.0,
}
LLAMA = {
    "normalization": "rms",
    "activation": "silu",
    "gated": True,
    "use_bias": False,
    "positions": "rotary",
    "tie_embeddings": False,
}
GROUPED = {**LLAMA, "num_key_value_heads": G}
T5 = {
    "normalization": "rms",
    "layer_norm_epsilon": 1e-6,
    "use_bias": False,
    "key_dim": K,
    "attention_scale": 1.0,
    "scale_embeddings": False,
    "share_embeddings": True,
}
GATED_T5 = {"gated": True, "activation": "gelu_tanh", "tie_embeddings": False}
BART = {
    "positions": "learned",
    "position_offset": 2,
    "activation": "gelu",
    "scale_embeddings": False,
    "normalize_embeddings": True,
    "source_padding_id": 1,
    "target_padding_id": 1,
}
MARIAN = {"activation": "silu", "source_padding_id": V - 1, "target_padding_id": None}
TIED = {"tie_embeddings": True, "share_embeddings": True, "normalize_first": False}

# The parameters of one sublayer, its biases included.
ATTENTION = 4 * (D * D + D)
FEED_FORWARD = D * F + F + F * D + D
NORM = 2 * D
WIDTH = D // H * G  # of grouped keys and values
ENCODER_DECODER = N * (ATTENTION + FEED_FORWARD + 2 * NORM) + N * (
    2 * ATTENTION + FEED_FORWARD + 3 * NORM
)
GROUPED_BLOCK = 2 * D * D + 2 * D * WIDTH + 3 * D * F + 2 * D
T5_ATTENTION = 4 * D * H * K
BUCKETS = 2 * 32 * H  # a table for each stack


def t5_stacks(dense):
    """Both stacks, their tables and last norms; `dense` matrices in each feed-forward network."""
    blocks = N * (T5_ATTENTION + 2 * D) + N * (2 * T5_ATTENTION + 3 * D)
    return blocks + 2 * N * dense * D * F + BUCKETS + 2 * D


DECODER_ONLY = {
    "gpt-2": (
        {"activation": "gelu_tanh"},
        V * D + T * D + N * (ATTENTION + FEED_FORWARD + 2 * NORM) + NORM,
    ),
    "llama": (LLAMA, 2 * V * D + N * (4 * D * D + 3 * D * F + 2 * D) + D),
    "llama 3": (
        {**GROUPED, "positions": RotaryEmbedding(500000.0)},
        2 * V * D + N * GROUPED_BLOCK + D,
    ),
    "mistral": ({**GROUPED, "sliding_window": 3}, 2 * V * D + N * GROUPED_BLOCK + D),
    "qwen2": (
        {
            **GROUPED,
            "use_attention_bias": ["query", "key", "value"],
            "positions": RotaryEmbedding(1000000.0),
        },
        2 * V * D + N * (GROUPED_BLOCK + D + 2 * WIDTH) + D,
    ),
    "gemma": (
        {
            **LLAMA,
            "activation": "gelu_tanh",
            "key_dim": 4,
            "num_key_value_heads": 1,
            "scale_embeddings": True,
            "tie_embeddings": True,
        },
        V * D + N * (2 * D * H * 4 + 2 * D * 4 + 3 * D * F + 2 * D) + D,
    ),
}
SEQ2SEQ = {
    "vaswani": (
        {**TIED, "positions": "interleaved", "use_attention_bias": False},
        V * D + ENCODER_DECODER - N * 3 * 4 * D,
    ),
    "marian": ({**TIED, **MARIAN, "use_logits_bias": True}, V * D + V + ENCODER_DECODER),
    "bart": (
        {**TIED, **BART, "use_logits_bias": True},
        V * D + V + 2 * (T + 2) * D + 2 * NORM + ENCODER_DECODER,
    ),
    "t5": (
        {**T5, "tie_embeddings": True, "logits_scale": D**-0.5, "target_padding_id": None},
        V * D + t5_stacks(2),
    ),
    "t5 v1.1": ({**T5, **GATED_T5}, 2 * V * D + t5_stacks(3)),
}


def seq2seq(name):
    arguments, _ = SEQ2SEQ[name]
    if name.startswith("t5"):  # layers that belong to one model
        own = RelativePositionBias(bidirectional=True), RelativePositionBias()
        arguments = {**arguments, "positions": own[0], "decoder_positions": own[1]}
    return models.transformer(V, V, **{**SIZES, **arguments})


def decoder_only(name):
    return models.decoder_only_transformer(V, **SIZES, **DECODER_ONLY[name][0], padding_id=None)


@pytest.mark.parametrize("name", DECODER_ONLY)
def test_a_language_model_has_the_parameters_of_its_architecture_and_steps(name):
    model = decoder_only(name)
    assert model.count_params() == DECODER_ONLY[name][1]
    assert get_mask(model(np.zeros((1, 3), "int32"))) is None
    assert Stepper(model).check() < 1e-4


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_an_encoder_decoder_has_the_parameters_of_its_architecture_and_steps(name):
    model = seq2seq(name)
    assert model.count_params() == SEQ2SEQ[name][1]
    assert Stepper(model).check() < 1e-4


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_padding_of_any_id_changes_nothing(name):
    model, arguments = seq2seq(name), SEQ2SEQ[name][0]
    pads = {side: arguments.get(f"{side}_padding_id", 0) for side in ("source", "target")}
    inputs = {"source": np.array([[4, 5, 6], [7, 8, 9]]), "target": np.array([[2, 3], [5, 4]])}
    padded = {
        side: np.pad(ids, ((0, 0), (0, 2)), constant_values=pads[side] or 0)
        for side, ids in inputs.items()
    }
    got, expected = numpy(model(padded))[:, :2], numpy(model(inputs))
    np.testing.assert_allclose(got, expected, atol=1e-5)
    mask = get_mask(model(padded))
    if pads["target"] is None:
        assert mask is None
    else:
        np.testing.assert_array_equal(numpy(mask), padded["target"] != pads["target"])
    # The other ids are tokens like any other: also 0, where it is not the padding.
    other = np.where(padded["source"] == pads["source"], (pads["source"] + 3) % V, padded["source"])
    changed = numpy(model({**padded, "source": other}))[:, :2]
    assert np.abs(changed - expected).max() > 1e-3


def test_a_target_may_begin_with_the_id_of_the_padding():
    """As those of Marian and T5 do: what it holds must reach the steps after it."""
    model = seq2seq("marian")
    inputs = {"source": np.array([[4, 5, V - 1]]), "target": np.array([[V - 1, 3, 2]])}
    logits = numpy(model(inputs))
    changed = numpy(model({**inputs, "target": np.array([[1, 3, 2]])}))
    assert np.abs(changed[:, 1:] - logits[:, 1:]).max() > 1e-3


def test_the_logits_are_scaled_before_their_bias():
    scaled, plain = (
        models.decoder_only_transformer(V, **SIZES, use_logits_bias=True, logits_scale=scale)
        for scale in (0.5, 1.0)
    )
    weights = plain.get_weights()
    bias = next(i for i, w in enumerate(weights) if w.shape == (V,))
    weights[bias] = np.arange(V, dtype="float32")
    scaled.set_weights(weights), plain.set_weights(weights)
    tokens = np.array([[3, 4, 5]])
    expected = (numpy(plain(tokens)) - np.arange(V)) / 2 + np.arange(V)
    np.testing.assert_allclose(numpy(scaled(tokens)), expected, atol=1e-5)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"source_padding_id": V}, "`source_padding_id` of transformer .*source_padding_id=11"),
        (
            {"share_embeddings": True, "source_padding_id": 1},
            "`share_embeddings`.*one id of padding.*source_padding_id=1, target_padding_id=0",
        ),
        ({"positions": "learned", "position_offset": -1}, "`position_offset`.*position_offset=-1"),
        ({"use_attention_bias": ["keys"]}, "`use_attention_bias`.*'query', 'key'.*'keys'"),
        ({"attention_scale": 0}, "`attention_scale`.*attention_scale=0"),
    ],
)
def test_bad_options_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.transformer(V, V, **{**SIZES, **arguments})
