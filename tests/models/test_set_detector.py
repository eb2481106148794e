import keras
import numpy as np
import pytest

from keras_seq.inspection import attention_scores
from keras_seq.models import set_detector

numpy = keras.ops.convert_to_numpy
IMAGES = np.random.default_rng(0).normal(size=(2, 16, 24, 1)).astype("float32")
SIZES = {"num_heads": 2, "hidden_dim": 8, "intermediate_dim": 12, "filters": (4, 6)}


def small(**arguments):
    return set_detector((16, 24, 1), 3, **{"num_queries": 5, **SIZES, **arguments})


def run(model):
    return {name: numpy(value) for name, value in model(IMAGES).items()}


def test_each_query_gives_a_class_or_none_and_a_box_within_the_image():
    found = run(small())
    assert found["logits"].shape == (2, 5, 4)
    assert found["boxes"].shape == (2, 5, 4)
    assert (found["boxes"] > 0).all() and (found["boxes"] < 1).all()


def test_queries_attend_to_the_places_of_the_image_and_to_each_other():
    model = small(num_layers=1, num_decoder_layers=2)
    shapes = {name: scores.shape for name, scores in attention_scores(model, IMAGES).items()}
    places = 4 * 6  # two convolutions, each of which halves both sides
    assert shapes == {
        "encoder_0": (2, 2, places, places),
        "decoder_0": (2, 2, 5, places),
        "decoder_1": (2, 2, 5, places),
    }
    # Another last query changes what the first one finds.
    before = run(model)["logits"]
    queries = model.get_layer("queries")
    table = queries.get_weights()[0]
    table[-1] += np.random.default_rng(1).normal(size=8)
    queries.set_weights([table])
    assert np.abs(run(model)["logits"][:, 0] - before[:, 0]).max() > 1e-4


def test_auxiliary_outputs_are_those_of_earlier_blocks_by_the_same_last_layers():
    model = small(num_decoder_layers=3, auxiliary_outputs=True)
    found = run(model)
    assert found["auxiliary_logits"].shape == (2, 2, 5, 4)
    assert found["auxiliary_boxes"].shape == (2, 2, 5, 4)
    inner = keras.Model(model.input, model.get_layer("decoder_1").output)
    y = model.get_layer("norm")(inner(IMAGES))
    np.testing.assert_allclose(
        found["auxiliary_logits"][:, 1], numpy(model.get_layer("classes")(y)), atol=1e-5
    )
    assert small().count_params() == small(auxiliary_outputs=True).count_params()


def test_positions_begin_as_sines_of_row_and_column():
    (table,) = small().get_layer("positions").get_weights()
    row, column = 2, 5  # of 4 x 6 places; two angles each
    angles = np.array([row, row / 100, column, column / 100])
    sines, cosines = np.sin(angles), np.cos(angles)
    expected = [*sines[:2], *cosines[:2], *sines[2:], *cosines[2:]]
    np.testing.assert_allclose(table[row * 6 + column], expected, atol=1e-6)


def test_a_model_saves_and_loads(tmp_path):
    model = small(auxiliary_outputs=True)
    model.save(tmp_path / "model.keras")
    loaded, expected = run(keras.models.load_model(tmp_path / "model.keras")), run(model)
    assert set(loaded) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(loaded[name], value, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_queries": 0}, "`num_queries` of set_detector must be an int of at least 1"),
        ({"filters": ()}, "`filters` of set_detector must be the channels"),
        ({"hidden_dim": 10}, "`hidden_dim` of set_detector must be a multiple of 4"),
        ({"num_heads": 3}, "multiple of `num_heads`"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)
