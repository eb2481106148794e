import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.testing import check_sequence_layer
from tests.layers.attention.attention_equations import rotated
from tests.layers.layer_equations import normal


def numpy(x):
    return ops.convert_to_numpy(x)


def test_it_keeps_the_contract():
    check_sequence_layer(ks.layers.RotaryEmbedding(), (2, 5, 4))


@pytest.mark.parametrize("options", [(10000, 1.0), (100, 4.0)])
def test_it_is_the_papers_rotation(options):
    x = normal(2, 5, 3, 6)
    got = numpy(ks.layers.RotaryEmbedding(*options)(x))
    for b, t, h in np.ndindex(2, 5, 3):
        np.testing.assert_allclose(got[b, t, h], rotated(x[b, t, h], t, *options), atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 5, 6), (2, 5, 3, 6)])
def test_it_gives_the_numbers_of_keras_hub(shape):
    keras_hub = pytest.importorskip("keras_hub", exc_type=ImportError)
    x = normal(*shape)
    ours = ks.layers.RotaryEmbedding(max_wavelength=500, scaling_factor=2.0)
    theirs = keras_hub.layers.RotaryEmbedding(max_wavelength=500, scaling_factor=2.0)
    np.testing.assert_allclose(numpy(ours(x)), numpy(theirs(x)), atol=1e-5)
    state = {"position": ops.convert_to_tensor(7, "int32")}
    got, state = ours(x, initial_state=state, return_state=True)
    np.testing.assert_allclose(numpy(got), numpy(theirs(x, start_index=7)), atol=1e-5)
    assert int(state["position"]) == 12


@pytest.mark.parametrize("shape", [(2, 5, 6), (2, 5, 3, 6)])
def test_the_angle_begins_again_where_a_document_does(shape):
    layer, x = ks.layers.RotaryEmbedding(), normal(*shape)
    y = numpy(layer(x, reset=np.array([[0, 0, 1, 0, 0], [0, 0, 0, 0, 1]], bool)))
    for row, start, end in ((0, 0, 2), (0, 2, 5), (1, 0, 4), (1, 4, 5)):
        alone = numpy(layer(x[row : row + 1, start:end]))
        np.testing.assert_allclose(y[row, start:end], alone[0], atol=1e-6)


def test_products_depend_on_the_distance_alone():
    """What the rotation is for (section 3.4.1)."""
    layer, x = ks.layers.RotaryEmbedding(), np.repeat(normal(1, 2, 8), 10, axis=0)
    q, k = (numpy(layer(v[None])) for v in x.transpose(1, 0, 2))  # the same vector 10 times
    products = q[0] @ k[0].T
    for offset in range(-9, 10):
        diagonal = np.diagonal(products, offset)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-4)


@pytest.mark.parametrize("name", ["max_wavelength", "scaling_factor"])
@pytest.mark.parametrize("value", [0, -1.0, "2", True])
def test_bad_constructor_arguments_are_named(name, value):
    with pytest.raises(ValueError, match=f"`{name}` of RotaryEmbedding.*{name}={value!r}"):
        ks.layers.RotaryEmbedding(**{name: value})


@pytest.mark.parametrize(
    "shape, named", [((2, 3, 5), r"must be even.*Received: 5"), ((2, 4), r"\(B, T, D\) or")]
)
def test_inputs_that_cannot_be_rotated_are_refused(shape, named):
    with pytest.raises(ValueError, match=named):
        ks.layers.RotaryEmbedding()(normal(*shape))
