"""Masks on the path of the target: given by hand, made by Keras, or travelling with tensors."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_seq.layers import GRU, LSTM, MultiHeadSelfAttention
from keras_seq.stepping import Stepper
from tests.generation.generation_models import shaken, translator
from tests.stepping.test_stepper import step_all

IDS = np.array([[4, 5, 0, 6, 7], [8, 0, 0, 9, 4], [0, 5, 6, 7, 0]], "int32")


def steps_like_its_call(model, x, inputs=None):
    """Compare at the steps that are not masked; what stands at the others nobody may read."""
    names = Stepper(model).graph.input_names
    everything = [x if name == Stepper(model).target else inputs for name in names]
    whole = ops.convert_to_numpy(model(everything if len(everything) > 1 else x))
    for prefill in (0, 2, 5):
        stepped = step_all(Stepper(model), x, inputs, prefill)
        valid = np.asarray(x).reshape(*np.shape(x)[:2], -1).any(axis=-1)
        np.testing.assert_allclose(stepped[valid], whole[valid], atol=2e-5)


@pytest.mark.parametrize(
    "layer", [GRU(6, return_sequences=True), MultiHeadSelfAttention(2, 3, causal=True)]
)
def test_a_mask_given_by_hand_is_kept_step_by_step(layer):
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(10, 6)(tokens)
    steps_like_its_call(shaken(keras.Model(tokens, layer(x, mask=ops.not_equal(tokens, 0)))), IDS)


def test_a_mask_that_is_no_part_of_the_target_is_refused():
    x = keras.Input((None, 4), name="target")
    mask = keras.Input((None,), dtype="bool", name="mask")
    with pytest.raises(ValueError, match="culprit.*`mask` does not depend"):
        Stepper(keras.Model([x, mask], GRU(4, return_sequences=True, name="culprit")(x, mask=mask)))


def test_a_masking_layer_masks_step_by_step():
    x = keras.Input((None, 4))
    model = shaken(keras.Model(x, GRU(4, return_sequences=True)(layers.Masking()(x))))
    data = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32") * (IDS != 0)[..., None]
    steps_like_its_call(model, data)


def test_the_masks_of_concatenated_embeddings_are_followed():
    tokens = keras.Input((None,), dtype="int32")
    a = layers.Embedding(10, 4, mask_zero=True)(tokens)
    b = layers.Embedding(10, 3, mask_zero=True)(tokens)
    y = LSTM(5, return_sequences=True)(layers.concatenate([a, b]))
    steps_like_its_call(shaken(keras.Model(tokens, y)), IDS)


@pytest.mark.parametrize("sequential", [True, False])
def test_a_model_inside_a_model_gets_the_mask(sequential):
    inner_x = keras.Input((None, 6))
    if sequential:
        inner = keras.Sequential([inner_x, layers.Dense(6), GRU(6, return_sequences=True)])
    else:
        inner = keras.Model(inner_x, GRU(6, return_sequences=True)(layers.Dense(6)(inner_x)))
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(10, 6, mask_zero=True)(tokens)
    steps_like_its_call(shaken(keras.Model(tokens, inner(x))), IDS)


def test_a_loaded_model_masks_as_the_saved_one(tmp_path):
    model = translator("gru")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    source, target = np.array([[4, 5, 3, 0]] * 3, "int32"), IDS
    expected = ops.convert_to_numpy(model({"source": source, "target": target}))
    got = step_all(Stepper(loaded), target, source, prefill=2)
    np.testing.assert_allclose(got, expected, atol=2e-5)


@pytest.mark.parametrize("inside", [False, True])
def test_a_mask_given_to_a_step_reaches_the_layers_behind_the_embedding(inside):
    """Steps that are masked leave no trace: the rest is as if they had not been there."""

    def body(x):
        return MultiHeadSelfAttention(2, 3, causal=True)(GRU(6, return_sequences=True)(x))

    x = keras.Input((None, 6))
    inner = keras.Model(x, body(x)) if inside else body
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(10, 6, mask_zero=inside)(tokens)
    model = shaken(keras.Model(tokens, inner(x)))
    stepper, ids = Stepper(model), np.array([[4, 5, 6, 7, 8]])
    state = stepper.get_initial_state(batch_size=1, max_length=5)
    _, state = stepper.prefill(ids[:, :3], state, mask=[[True, False, True]])
    _, state = stepper.step(ids[:, 3:4], state, mask=np.array([[False]]))
    y, _ = stepper.step(ids[:, 4:], state)
    expected = ops.convert_to_numpy(model(ids[:, [0, 2, 4]]))
    np.testing.assert_allclose(ops.convert_to_numpy(y)[:, 0], expected[:, 2], atol=2e-5)
    with pytest.raises(ValueError, match=r"`mask` must have shape \(B, T\) = \(1, 1\).*\(1, 3\)"):
        stepper.step(ids[:, :1], state, mask=[[True] * 3])
