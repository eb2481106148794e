import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from keras_seq.generation import Generator
from keras_seq.models import text_to_image
from keras_seq.stepping import Stepper

TEXT, IMAGE, P, SIDE, D = 5, 7, 3, (2, 3), 8
N = SIDE[0] * SIDE[1]


def model(**arguments):
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": D, "intermediate_dim": 16}
    return text_to_image(TEXT, IMAGE, P, SIDE, **{**sizes, "dropout": 0.0, **arguments})


def test_it_keeps_the_contract():
    assert Stepper(model()).check() < 1e-4


def test_it_has_the_parameters_of_its_equations():
    V, F, layers = TEXT + IMAGE, 16, 2
    block = 4 * (D * D + D) + D * F + F + F * D + D + 2 * 2 * D
    expected = V * D + (P + sum(SIDE)) * D + layers * block + 2 * D + D * V + V
    assert model(num_layers=layers).count_params() == expected


def test_all_that_is_generated_after_a_text_is_one_image():
    keras.utils.set_random_seed(0)
    generator = Generator(model(), max_length=N, banned_tokens=range(TEXT))
    texts = [[2, 4, 3], [2, 0, 3]]
    tokens = numpy(generator.generate(prompt=texts).tokens)
    assert tokens.shape == (2, P + N)
    assert tokens[:, P:].min() >= TEXT and tokens[:, P:].max() < TEXT + IMAGE


def test_the_likeliest_image_of_one_token_is_the_one_that_scores_best():
    keras.utils.set_random_seed(0)
    generator = Generator(model(), max_length=1, banned_tokens=range(TEXT))
    texts = [[2, 4, 3]]
    best = numpy(generator.generate(prompt=texts).tokens)[0, -1]
    images = [[TEXT + i] for i in range(IMAGE)]
    scores = numpy(generator.score(images, prompt=texts * IMAGE).scores)
    assert scores.argmax() == best - TEXT


def test_it_saves_and_loads(tmp_path):
    x = np.arange(P + N)[None] % (TEXT + IMAGE)
    trained = model()
    trained.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(x)), numpy(trained(x)), atol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_layers": 0}, "`num_layers` of text_to_image.*num_layers=0"),
        ({"num_heads": 3}, "`num_heads`.*D=8, num_heads=3"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        model(**arguments)
