import keras
import numpy as np
import pytest
from keras import layers

from keras_seq import models
from keras_seq.layers import GRU
from keras_seq.stepping import Stepper

numpy = keras.ops.convert_to_numpy
RNG = np.random.default_rng(0)
STEPS = {
    "tokens": ({"vocabulary_size": 7}, np.array([[3, 1, 4, 1, 5]], "int32")),
    "features": ({"num_features": 3}, RNG.normal(size=(1, 5, 3)).astype("float32")),
    "frames": ({"image_shape": (6, 8, 1)}, RNG.random((1, 5, 6, 8, 1)).astype("float32")),
}
CASES = [("gru", "tokens"), ("lstm", "features"), ("gru", "frames"), ("transformer", "frames")]
FURTHER = [("transformer", "tokens"), ("transformer", "features"), ("lstm", "frames")]
CASES += [pytest.param(*case, marks=pytest.mark.thorough) for case in FURTHER]


def tagger(steps, cell="gru", **kwargs):
    sizes = {"hidden_dim": 8, "embedding_dim": 5, "filters": (3, 4)}
    blocks = {"num_heads": 2, "intermediate_dim": 8}
    return models.sequence_tagger(4, **STEPS[steps][0], cell=cell, **{**sizes, **blocks, **kwargs})


@pytest.mark.parametrize("cell, steps", CASES)
def test_it_is_a_plain_model_that_saves_and_steps(cell, steps, tmp_path):
    model, x = tagger(steps, cell, num_layers=2), STEPS[steps][1]
    assert type(model).__name__ == "Functional"
    logits = numpy(model(x))
    assert logits.shape == (1, 5, 4)
    assert Stepper(model, self_check=False).check() < 1e-4
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(x)), logits, atol=1e-6)


@pytest.mark.parametrize("cell", ["gru", "transformer"])
def test_a_label_depends_on_the_past_and_not_on_the_future(cell):
    model, x = tagger("frames", cell), STEPS["frames"][1]
    changed = x.copy()
    changed[:, 2] = 1 - changed[:, 2]
    difference = np.abs(numpy(model(changed)) - numpy(model(x))).max(axis=(0, 2))
    assert (difference[:2] < 1e-6).all() and (difference[2:] > 1e-6).all()


def test_frame_after_frame_gives_what_the_whole_clip_gives():
    model, x = tagger("frames"), STEPS["frames"][1]
    stepper = Stepper(model)
    state = stepper.get_initial_state(batch_size=1)
    for t in range(5):
        y, state = stepper.step(x[:, t : t + 1], state)
        np.testing.assert_allclose(numpy(y)[:, 0], numpy(model(x))[:, t], atol=1e-5)


def test_padded_tokens_change_nothing():
    model, x = tagger("tokens"), STEPS["tokens"][1]
    padded = np.pad(x, ((0, 0), (0, 2)))
    np.testing.assert_allclose(numpy(model(padded))[:, :5], numpy(model(x)), atol=1e-6)


def test_the_one_of_frames_is_what_a_user_writes_by_hand():
    """With each frame encoded on its own."""
    model, x = tagger("frames"), STEPS["frames"][1]
    frame = keras.Sequential(
        [
            layers.Conv2D(3, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(8, activation="relu"),
        ]
    )
    encoded = keras.Input((5, 8))
    rest = keras.Model(encoded, layers.Dense(4)(GRU(8, return_sequences=True)(encoded)))
    frame.build((None, 6, 8, 1))
    weights = model.get_weights()
    frame.set_weights(weights[: len(frame.weights)])
    rest.set_weights(weights[len(frame.weights) :])
    vectors = np.stack([numpy(frame(x[:, t])) for t in range(5)], axis=1)
    np.testing.assert_allclose(numpy(rest(vectors)), numpy(model(x)), atol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"cell": "rnn"}, "`cell` of sequence_tagger .*cell='rnn'"),
        ({"num_features": 3}, "exactly one of .*'num_features': 3"),
        ({"vocabulary_size": None}, "exactly one of"),
        ({"vocabulary_size": 0}, "`vocabulary_size` of sequence_tagger"),
        ({"hidden_dim": 0}, "`hidden_dim` of sequence_tagger"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.sequence_tagger(4, **{"vocabulary_size": 7, **arguments})
