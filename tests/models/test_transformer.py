import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from keras_seq import models
from keras_seq.layers._keras_private import get_mask
from keras_seq.stepping import Stepper

INPUTS = {
    "source": np.array([[4, 5, 6, 7, 3], [9, 8, 3, 0, 0]], "int32"),
    "target": np.array([[2, 4, 5], [2, 6, 0]], "int32"),
}


def transformer(source=10, target=10, **arguments):
    sizes = {"sequence_length": 8, "num_layers": 1, "num_heads": 2, "hidden_dim": 8}
    return models.transformer(source, target, intermediate_dim=16, **{**sizes, **arguments})


@pytest.mark.parametrize(
    "arguments",
    [
        {"positions": "interleaved", "normalize_first": False, "use_attention_bias": False},
        {"positions": "learned", "normalization": "rms", "gated": True, "use_bias": False},
        {"positions": "rotary", "num_key_value_heads": 1, "sequence_length": None},
        {"positions": "alibi", "tie_embeddings": True, "share_embeddings": True},
        {"positions": "none", "tie_embeddings": True, "source": 12, "sliding_window": 2},
    ],
    ids=lambda arguments: arguments["positions"],
)
def test_stepped_with_every_option_it_keeps_the_contract(arguments):
    assert Stepper(transformer(**arguments)).check() < 1e-4


def test_tied_and_shared_embeddings_are_one_matrix_also_when_saved(tmp_path):
    model = transformer(tie_embeddings=True, share_embeddings=True, normalize_first=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        matrices = [w for w in one.weights if 10 in w.shape]
        assert [w.path for w in matrices] == ["embedding/embeddings"]
    expected = numpy(model(INPUTS))
    np.testing.assert_allclose(numpy(loaded(INPUTS)), expected, atol=1e-6)
    # The matrix is read thrice. That of the output alone is linear: logits of a token that neither
    # side holds follow its row, and nothing else does.
    row = loaded.get_layer("embedding").embeddings
    row.assign(numpy(row) * np.where(np.arange(10) == 1, 3.0, 1.0)[:, None])
    expected[..., 1] *= 3
    np.testing.assert_allclose(numpy(loaded(INPUTS)), expected, atol=1e-5)


def test_a_tied_output_leaves_the_source_its_own_embedding():
    model = transformer(12, 10, tie_embeddings=True)
    shapes = {w.path: tuple(w.shape) for w in model.weights if "embeddings" in w.path}
    assert shapes == {
        "source_embedding/embeddings": (12, 8),
        "target_embedding/embeddings": (10, 8),
    }
    assert not [w.path for w in model.weights if "logits" in w.path]


@pytest.mark.parametrize("tie", [True, False])
def test_the_mask_of_the_target_reaches_the_loss(tie):
    logits = transformer(normalization="rms", tie_embeddings=tie)(INPUTS)
    np.testing.assert_array_equal(numpy(get_mask(logits)), INPUTS["target"] != 0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"positions": "relative"}, "`positions` of transformer.*'rotary'.*'relative'"),
        ({"normalization": "batch"}, "`normalization`.*'batch'"),
        (
            {"source": 12, "share_embeddings": True},
            "`share_embeddings`.*source_vocabulary_size=12, target_vocabulary_size=10",
        ),
        ({"sequence_length": None}, "`sequence_length`"),
        ({"gate": True}, "gate"),
    ],
)
def test_bad_options_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        transformer(**arguments)


def test_epsilon_and_dtype_hold_outside_the_blocks_too():
    for tie in (False, True):
        model = transformer(tie_embeddings=tie, layer_norm_epsilon=0.5, dtype="mixed_bfloat16")
        own = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
        assert {layer.dtype_policy.name for layer in own} == {"mixed_bfloat16"}
        norms = [x for x in own if isinstance(x, keras.layers.LayerNormalization)]
        assert norms and all(norm.epsilon == 0.5 for norm in norms)
