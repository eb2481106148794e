import keras
import numpy as np
import pytest
from keras import layers

from keras_seq import models
from keras_seq.generation import Generator
from keras_seq.inspection import attention_scores
from keras_seq.layers import GRU, AdditiveAttention, LearnedPositions
from keras_seq.stepping import Stepper

numpy = keras.ops.convert_to_numpy
RNG = np.random.default_rng(0)
INPUTS = {
    "image": RNG.random((2, 8, 12, 1)).astype("float32"),
    "target": np.array([[2, 4, 5, 6], [2, 6, 0, 0]], "int32"),
}
CELLS = ("gru", "lstm", "transformer")


def captioner(cell="gru", **kwargs):
    sizes = {"filters": (3, 4), "embedding_dim": 5, "hidden_dim": 6, "attention_units": 7}
    blocks = {"num_heads": 2, "intermediate_dim": 8, "sequence_length": 9}
    return models.captioner(10, (8, 12, 1), cell=cell, **{**sizes, **blocks, **kwargs})


@pytest.mark.parametrize("cell", CELLS)
def test_it_is_a_plain_model_that_saves_and_steps(cell, tmp_path):
    model = captioner(cell, num_layers=2)
    assert type(model).__name__ == "Functional"
    logits = numpy(model(INPUTS))
    assert logits.shape == (2, 4, 10)
    assert Stepper(model, self_check=False).check() < 1e-4
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(INPUTS)), logits, atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_changes_nothing_and_the_image_does(cell):
    model = captioner(cell)
    expected = numpy(model(INPUTS))
    wider = {**INPUTS, "target": np.pad(INPUTS["target"], ((0, 0), (0, 3)))}
    np.testing.assert_allclose(numpy(model(wider))[0, :4], expected[0], atol=1e-5)
    other = {**INPUTS, "image": 1 - INPUTS["image"]}
    assert np.abs(numpy(model(other))[:, 0] - expected[:, 0]).max() > 1e-4


def test_the_recurrent_one_is_what_a_user_writes_by_hand():
    image = keras.Input((8, 12, 1), name="image")
    target = keras.Input((None,), dtype="int32", name="target")
    x = layers.Conv2D(3, 3, strides=2, padding="same", activation="relu")(image)
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)  # (B, 2, 3, 4)
    x = layers.LayerNormalization(epsilon=1e-5)(layers.Reshape((6, 4))(x))
    x = layers.Dense(4, activation="relu")(LearnedPositions(6)(x))
    start = layers.Dense(6, activation="tanh")(keras.ops.mean(x, axis=1))
    y = layers.Embedding(10, 5, mask_zero=True)(target)
    y = GRU(6, return_sequences=True)(y, initial_state=[start])
    y = layers.concatenate([y, AdditiveAttention(7)(y, x)])
    logits = layers.Dense(10)(layers.Dense(6, activation="tanh")(y))
    by_hand = keras.Model({"image": image, "target": target}, logits)
    model = captioner()
    by_shape = {tuple(w.shape): w for w in model.weights}
    for weight in by_hand.weights:
        if len(weight.shape) > 1:  # no two kernels have one shape; biases are zeros
            weight.assign(by_shape.pop(tuple(weight.shape)))
    assert all(len(shape) == 1 for shape in by_shape)
    np.testing.assert_allclose(numpy(by_hand(INPUTS)), numpy(model(INPUTS)), atol=1e-6)


def test_state_dropout_is_of_the_state_in_the_logits_alone():
    plain, model = captioner(), captioner(state_dropout=0.9)
    model.set_weights(plain.get_weights())
    expected = numpy(plain(INPUTS))
    np.testing.assert_allclose(numpy(model(INPUTS)), expected, atol=1e-6)
    (combined,) = (w for w in model.weights if w.shape == (6 + 4, 6))
    combined.assign(keras.ops.concatenate([keras.ops.zeros((6, 6)), combined[6:]]))
    np.testing.assert_allclose(
        numpy(model(INPUTS, training=True)), numpy(model(INPUTS)), atol=1e-6
    )  # neither what is seen nor where the state looks
    model.set_weights(plain.get_weights())
    assert abs(numpy(model(INPUTS, training=True)) - expected).max() > 1e-3


@pytest.mark.parametrize("cell", CELLS)
def test_each_word_attends_to_all_places_of_the_image(cell):
    *_, scores = attention_scores(captioner(cell), INPUTS).values()
    heads = 2 if cell == "transformer" else 1
    assert scores.shape == (2, heads, 4, 2 * 3)
    np.testing.assert_allclose(scores[0].sum(axis=-1), 1, atol=1e-5)


def test_words_are_generated_from_an_image_as_the_model_scores_them():
    model = captioner()
    generator = Generator(model, max_length=3, start_token=2)
    tokens = numpy(generator.generate(INPUTS["image"]).tokens)
    read = np.concatenate([[[2], [2]], tokens[:, :-1]], axis=1)
    logits = numpy(model({"image": INPUTS["image"], "target": read}))
    np.testing.assert_array_equal(tokens, logits.argmax(axis=-1))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"cell": "rnn"}, r"`cell` of captioner must be one of .*cell='rnn'"),
        ({"num_layers": 0}, "`num_layers` of captioner .*num_layers=0"),
        ({"state_dropout": 1.0}, "`state_dropout` of captioner .*state_dropout=1.0"),
        ({"cell": "transformer", "state_dropout": 0.5}, "`state_dropout` of captioner is for"),
        ({"filters": ()}, r"`filters` of captioner .*filters=\(\)"),
        ({"filters": (4, 0)}, r"`filters\[1\]` of captioner"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        captioner(**arguments)
    with pytest.raises(ValueError, match=r"`image_shape` of captioner .*\(8, 8\)"):
        models.captioner(10, (8, 8))
