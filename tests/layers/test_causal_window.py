import keras
import numpy as np
import pytest
from keras import ops

from keras_seq.layers import CausalWindow
from keras_seq.testing import check_sequence_layer


def windows(x, size, mask=None, reset=None):
    """The equation, row by row: the last inputs that are not masked, zeros before them."""
    y = np.zeros((*x.shape[:2], size * x.shape[2]), x.dtype)
    for b, row in enumerate(x):
        window = [np.zeros(x.shape[2], x.dtype)] * size
        for t, x_t in enumerate(row):
            if reset is not None and reset[b, t]:
                window = [np.zeros(x.shape[2], x.dtype)] * size
            if mask is None or mask[b, t]:
                window = [*window[1:], x_t]
            y[b, t] = np.concatenate(window)
    return y


def random_x(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("size", [1, 3])
def test_the_causal_window_keeps_the_contract(size):
    check_sequence_layer(CausalWindow(size), (3, 5, 2))


@pytest.mark.parametrize("size", [1, 2, 4, 9])
def test_the_window_is_the_last_inputs_oldest_first(size):
    x = random_x(3, 6, 2)
    mask = np.random.default_rng(1).random((3, 6)) < 0.6
    np.testing.assert_array_equal(ops.convert_to_numpy(CausalWindow(size)(x)), windows(x, size))
    masked = CausalWindow(size)(x, mask=mask)
    np.testing.assert_array_equal(ops.convert_to_numpy(masked), windows(x, size, mask))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [1, 2, 4, 9])
def test_a_reset_empties_the_window_in_calls_and_in_chunks(size, masked):
    x, rng = random_x(3, 8, 2), np.random.default_rng(1)
    reset = rng.random((3, 8)) < 0.3
    mask = rng.random((3, 8)) < 0.6 if masked else None
    layer, expected = CausalWindow(size), windows(x, size, mask, reset)
    arguments = {"reset": reset, **({"mask": mask} if masked else {})}
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(x, **arguments)), expected)
    state, outputs = layer.get_initial_state(3), []
    for start, end in ((0, 3), (3, 3), (3, 7), (7, 8)):
        part = {name: value[:, start:end] for name, value in arguments.items()}
        y, state = layer(x[:, start:end], initial_state=state, return_state=True, **part)
        outputs.append(ops.convert_to_numpy(y))
    np.testing.assert_array_equal(np.concatenate(outputs, axis=1), expected)


def test_a_masked_step_repeats_the_output():
    layer, x = CausalWindow(2), random_x(1, 3, 2)
    y, state = layer(x, return_state=True)
    again, after = layer.step(10 * x[:, :1], state, mask=np.array([[False]]))
    np.testing.assert_array_equal(ops.convert_to_numpy(again[:, 0]), ops.convert_to_numpy(y[:, -1]))
    np.testing.assert_array_equal(*(ops.convert_to_numpy(s["window"]) for s in (state, after)))


def test_a_dense_layer_behind_the_window_is_an_autoregressive_model():
    x = keras.Input((None, 1))
    model = keras.Model(x, keras.layers.Dense(1, use_bias=False)(CausalWindow(3)(x)))
    model.set_weights([np.array([[0.2], [-0.5], [0.9]], "float32")])
    series = random_x(1, 8, 1)
    expected = 0.9 * series[0, 2:] - 0.5 * series[0, 1:-1] + 0.2 * series[0, :-2]
    got = ops.convert_to_numpy(model(series))[0, 2:]
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_a_chunk_of_no_steps_gives_none_and_leaves_the_state_as_it_is(masked):
    layer, x = CausalWindow(3), random_x(2, 4, 2)
    _, state = layer(x, return_state=True)
    mask = {"mask": np.zeros((2, 0), bool)} if masked else {}
    nothing, after = layer(x[:, :0], initial_state=state, return_state=True, **mask)
    assert nothing.shape == (2, 0, 6)
    np.testing.assert_array_equal(*(ops.convert_to_numpy(s["window"]) for s in (state, after)))
    assert layer(x[:, :0], **mask).shape == (2, 0, 6)
    _, start = layer(x[:, :0], return_state=True, **mask)
    np.testing.assert_array_equal(ops.convert_to_numpy(start["window"]), 0)


def test_what_is_wrong_is_told():
    with pytest.raises(ValueError, match="`size` of CausalWindow"):
        CausalWindow(0)
    with pytest.raises(ValueError, match="`x` of CausalWindow"):
        CausalWindow(2)(np.zeros((2, 3), "float32"))
    with pytest.raises(ValueError, match="no weights yet"):
        CausalWindow(2).get_initial_state(1)
