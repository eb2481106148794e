import keras
import numpy as np
import pytest
from keras import layers
from keras.ops import convert_to_numpy as numpy

from keras_seq import models
from keras_seq.layers import PositionalEmbedding, TransformerDecoderBlock
from keras_seq.layers._keras_private import get_mask
from keras_seq.stepping import Stepper

TOKENS = np.array([[2, 4, 5, 9], [2, 6, 0, 0]], "int32")
LLAMA = {
    "normalization": "rms",
    "activation": "silu",
    "gated": True,
    "positions": "rotary",
    "use_bias": False,
}


def language_model(**arguments):
    sizes = {"sequence_length": 8, "num_layers": 1, "num_heads": 2, "hidden_dim": 8}
    return models.decoder_only_transformer(10, **{**sizes, "intermediate_dim": 16, **arguments})


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {**LLAMA, "num_key_value_heads": 1, "sequence_length": None},
        {"positions": "sinusoidal", "normalize_first": False},
        {"positions": "interleaved", "padding_id": None},
        {"positions": "alibi", "sliding_window": 3, "tie_embeddings": False},
        {"positions": "none", "num_layers": 2},
    ],
    ids=lambda arguments: arguments.get("positions", "learned"),
)
def test_stepped_with_every_option_it_keeps_the_contract(arguments):
    assert Stepper(language_model(**arguments)).check() < 1e-4


def test_it_is_what_a_user_writes_by_hand():
    tokens = keras.Input((None,), dtype="int32")
    embedding = PositionalEmbedding(10, 8, 8, kind="learned", scale_embeddings=False)
    x = embedding(tokens)
    for _ in range(2):
        x = TransformerDecoderBlock(16, 2, activation="gelu", normalize_first=True)(x)
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    by_hand = keras.Model(tokens, embedding(x, reverse=True))
    model = language_model(num_layers=2)
    by_hand.set_weights(model.get_weights())
    np.testing.assert_allclose(numpy(by_hand(TOKENS)), numpy(model(TOKENS)), atol=1e-6)


def test_as_gpt_2_it_has_the_parameters_of_its_equations():
    V, T, D, N = 10, 8, 8, 3
    attention = 4 * (D * D + D)
    feed_forward = D * 4 * D + 4 * D + 4 * D * D + D
    norm = 2 * D
    expected = V * D + T * D + N * (attention + feed_forward + 2 * norm) + norm
    assert language_model(num_layers=N, intermediate_dim=4 * D).count_params() == expected


def test_as_llama_it_has_the_parameters_of_its_equations():
    V, D, N, U, key_value_width = 10, 8, 2, 16, 4
    attention = 2 * D * D + 2 * D * key_value_width
    expected = 2 * V * D + N * (attention + 3 * D * U + 2 * D) + D
    model = language_model(num_layers=N, num_key_value_heads=1, tie_embeddings=False, **LLAMA)
    assert model.count_params() == expected


@pytest.mark.parametrize("arguments", [{}, LLAMA], ids=["gpt-2", "llama"])
def test_it_saves_with_one_matrix(arguments, tmp_path):
    model = language_model(**arguments)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [w.path for w in loaded.weights if 10 in w.shape] == ["embedding/embeddings"]
    np.testing.assert_allclose(numpy(loaded(TOKENS)), numpy(model(TOKENS)), atol=1e-6)


@pytest.mark.parametrize("padding_id", [0, 9, None])
def test_the_mask_of_the_padding_reaches_the_loss(padding_id):
    mask = get_mask(language_model(padding_id=padding_id, **LLAMA)(TOKENS))
    if padding_id is not None:
        np.testing.assert_array_equal(numpy(mask), TOKENS != padding_id)
    else:
        assert mask is None


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"positions": "relative"}, "`positions` of decoder_only_transformer.*'relative'"),
        ({"num_layers": 0}, "`num_layers`.*num_layers=0"),
        ({"sequence_length": None}, "`sequence_length`"),
        ({"num_heads": 3}, "`num_heads`.*D=8, num_heads=3"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        language_model(**arguments)


def test_epsilon_and_dtype_hold_outside_the_blocks_too():
    for tie in (False, True):
        model = language_model(tie_embeddings=tie, layer_norm_epsilon=0.5, dtype="mixed_bfloat16")
        own = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
        assert {layer.dtype_policy.name for layer in own} == {"mixed_bfloat16"}
        norms = [x for x in own if isinstance(x, keras.layers.LayerNormalization)]
        assert norms and all(norm.epsilon == 0.5 for norm in norms)
