import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.inspection._gradient_flow import gradient_flow
from tests.layers.recurrent.user_cells.min_gru import MinGRUCell

B, T, D, U = 3, 6, 4, 5
TRAINS = keras.backend.backend() in ("tensorflow", "jax")
pytestmark = pytest.mark.skipif(not TRAINS, reason="needs TensorFlow or JAX")


def normal(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def sequential(*layers, steps=T):
    return keras.Sequential([keras.Input((steps, D)), *layers])


def norm(gradients):
    """(T, B, U) to (T,)."""
    return np.sqrt(np.sum(np.square(gradients), axis=(1, 2)))


def elman(layer, x):
    kernel, recurrent, bias = [w.astype("float64") for w in layer.get_weights()]
    h, states = np.zeros((len(x), U)), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ kernel + h @ recurrent + bias)
        states.append(h)
    return states, recurrent


@pytest.mark.parametrize("return_sequences", [False, True])
def test_the_norms_of_an_elman_network_are_the_products_of_its_jacobians(return_sequences):
    layer = ks.layers.SimpleRNN(U, return_sequences=return_sequences, name="elman")
    model = sequential(layer)
    x, y = normal(B, T, D), normal(B, T, U, seed=2)
    y = y if return_sequences else y[:, -1]
    found = gradient_flow(model, x, y, loss="mse")

    states, recurrent = elman(layer, x)
    gradient, expected = np.zeros((B, U)), []
    for t in reversed(range(T)):
        if t < T - 1:  # dL/dh_t = dL/dh_{t+1} diag(1 - h_{t+1}^2) U^T, and its own output
            gradient = (gradient * (1 - states[t + 1] ** 2)) @ recurrent.T
        if return_sequences:
            gradient = gradient + 2 * (states[t] - y[:, t]) / (B * T * U)
        elif t == T - 1:
            gradient = 2 * (states[t] - y) / (B * U)
        expected.insert(0, gradient)
    assert list(found) == ["elman"] and found["elman"].dtype == "float64"
    np.testing.assert_allclose(found["elman"], norm(np.stack(expected)), rtol=1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: ks.layers.LSTM(U),
        lambda: ks.layers.RNN(ks.layers.PeepholeLSTMCell(U, peephole_initializer="ones")),
        lambda: ks.layers.RNN(ks.layers.LayerNormLSTMCell(U)),
        lambda: ks.layers.GRU(U),
        lambda: ks.layers.GRU(U, reset_after=False, zoneout=0.2),
        lambda: ks.layers.RNN(keras.layers.LSTMCell(U)),
        lambda: ks.layers.RNN(MinGRUCell(U)),
    ],
)
def test_the_norms_are_those_of_finite_differences(layer):
    """dL/dh_t is found by stepping on from h_t moved by a little."""
    layer = layer()
    model = sequential(layer)
    x, y = normal(B, T, D), 10 * normal(B, U, seed=2)
    found = gradient_flow(model, x, y, loss="mse")[layer.name]
    t, size = 2, 1e-2

    _, state = layer(x[:, : t + 1], return_state=True)
    h, *others = [ops.convert_to_numpy(part) for part in state]

    def loss(h):
        last = ops.convert_to_numpy(layer(x[:, t + 1 :], initial_state=[h, *others]))
        return np.mean((last.astype("float64") - y) ** 2)

    gradient = np.zeros((B, U))
    for place in np.ndindex(B, U):
        moved = np.zeros((B, U), "float32")
        moved[place] = size
        gradient[place] = (loss(h + moved) - loss(h - moved)) / (2 * size)
    np.testing.assert_allclose(found[t], np.linalg.norm(gradient), rtol=5e-3)


def test_every_layer_of_a_stack_and_of_models_inside_is_found():
    encoder = sequential(ks.layers.GRU(U, return_sequences=True, name="inner"))
    inputs = keras.Input((None, D))
    h = encoder(inputs)
    h, *state = ks.layers.LSTM(U, return_sequences=True, return_state=True, name="first")(h)
    shared = ks.layers.SimpleRNN(U, return_sequences=True, name="shared")
    h = shared(shared(h, initial_state=state[:1]))
    model = keras.Model(inputs, keras.layers.Dense(2)(h))
    found = gradient_flow(model, normal(B, T, D), normal(B, T, 2), loss="mse")
    assert list(found) == [f"{encoder.name}/inner", "first", "shared", "shared_call_2"]
    for norms in found.values():
        assert norms.shape == (T,) and (norms > 0).all()


def test_the_run_that_is_differentiated_gives_the_models_own_loss():
    ids = keras.Input((None,), dtype="int32")
    h = keras.layers.Embedding(7, D, mask_zero=True)(ids)
    h = ks.layers.LSTM(U, return_sequences=True, go_backwards=True, dropout=0.5)(h)
    h = ks.layers.GRU(U, go_backwards=True)(h)
    model = keras.Model(ids, keras.layers.Dense(1)(h))
    outputs = []

    def loss(y, predicted):
        outputs.append(predicted)
        return ops.mean(ops.square(y - predicted))

    tokens = np.array([[3, 1, 4, 1, 5], [2, 6, 0, 0, 0], [0, 1, 0, 2, 0]], "int32")
    gradient_flow(model, tokens, np.ones((3, 1), "float32"), loss=loss)
    got, expected = ops.convert_to_numpy(outputs[0]), ops.convert_to_numpy(model(tokens))
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_time_stands_in_the_order_of_the_input():
    forward, backward = ks.layers.GRU(U), ks.layers.GRU(U, go_backwards=True)
    models = [sequential(forward), sequential(backward)]
    backward.set_weights(forward.get_weights())
    x, y = normal(B, T, D), normal(B, U, seed=2)
    a = gradient_flow(models[0], x, y, loss="mse")[forward.name]
    b = gradient_flow(models[1], x[:, ::-1], y, loss="mse")[backward.name]
    np.testing.assert_allclose(a, b[::-1], rtol=1e-5)


def test_padding_hands_the_gradient_back_as_it_is():
    layer = ks.layers.SimpleRNN(U)
    model = sequential(keras.layers.Masking(), layer)
    x, y = normal(B, T, D), normal(B, U, seed=2)
    x[:, 4:] = 0
    found = gradient_flow(model, x, y, loss="mse")[layer.name]
    np.testing.assert_allclose(found[3:], found[3], rtol=1e-6)
    short = sequential(layer, steps=4)
    np.testing.assert_allclose(
        found[:4], gradient_flow(short, x[:, :4], y, loss="mse")[layer.name], rtol=1e-5
    )


def test_the_compiled_loss_is_taken_and_nothing_in_the_model_changes():
    layer = ks.layers.LSTM(U, stateful=True)
    model = keras.Sequential(
        [keras.Input((T, D), batch_size=B), layer, keras.layers.Dense(4, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = normal(B, T, D), np.array([0, 3, 1])
    before = [np.array(w) for w in model.get_weights()]
    found = gradient_flow(model, x, y)[layer.name]
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    given = gradient_flow(model, x, y, loss=keras.losses.SparseCategoricalCrossentropy())
    np.testing.assert_allclose(found, given[layer.name], rtol=1e-5)


def test_two_inputs_and_two_outputs_go_by_name():
    a, b = keras.Input((T, D), name="a"), keras.Input((T, D), name="b")
    first, second = ks.layers.GRU(U, name="first")(a), ks.layers.LSTM(U, name="second")(b)
    outputs = {"p": keras.layers.Dense(1, name="p")(first), "q": second}
    model = keras.Model({"a": a, "b": b}, outputs)
    x = {"b": normal(B, T, D), "a": normal(B, T, D, seed=3)}
    y = {"p": normal(B, 1), "q": normal(B, U)}
    with pytest.raises(ValueError, match="can be given for a model with one output"):
        gradient_flow(model, x, y, loss="mse")
    model.compile("sgd", loss={"p": "mse", "q": "mae"})
    found = gradient_flow(model, x, y)
    assert set(found) == {"first", "second"}
    assert all((norms > 0).all() for norms in found.values())


def test_wrong_arguments_are_refused():
    x, y = normal(B, T, D), normal(B, U)
    model = sequential(ks.layers.LSTM(U))
    with pytest.raises(ValueError, match="`loss` must be given"):
        gradient_flow(model, x, y)
    with pytest.raises(ValueError, match="must have shape"):
        gradient_flow(model, x[0], y, loss="mse")
    with pytest.raises(ValueError, match="must hold the 1 inputs"):
        gradient_flow(model, [x, x], y, loss="mse")
    with pytest.raises(TypeError, match="its graph is walked"):
        gradient_flow(ks.layers.LSTM(U), x, y, loss="mse")
    with pytest.raises(ValueError, match="must hold a recurrent layer"):
        gradient_flow(sequential(keras.layers.LSTM(U)), x, y, loss="mse")


def test_both_directions_of_a_bidirectional_layer_are_found():
    both = keras.layers.Bidirectional(ks.layers.LSTM(U, name="lstm"), name="both")
    x, y = normal(B, T, D), normal(B, 2 * U, seed=2)
    found = gradient_flow(sequential(keras.layers.Masking(), both), x, y, loss="mse")
    forward, backward = both.forward_layer, both.backward_layer
    inputs = keras.Input((T, D))
    merged = keras.layers.concatenate([forward(inputs), backward(inputs)])
    apart = gradient_flow(keras.Model(inputs, merged), x, y, loss="mse")
    assert list(found) == [f"both/{name}" for name in apart]
    np.testing.assert_allclose(list(found.values()), list(apart.values()), rtol=1e-5)


def test_no_layers_call_is_replaced_while_it_runs(monkeypatch):
    both = keras.layers.Bidirectional(ks.layers.GRU(U, name="gru"), name="both")
    replaced, update = [], ks.layers.GRUCell.update

    def watching(self, *args):
        replaced.extend("call" in vars(part) for part in (both.forward_layer, both.backward_layer))
        return update(self, *args)

    model = sequential(both)
    monkeypatch.setattr(ks.layers.GRUCell, "update", watching)
    gradient_flow(model, normal(B, T, D), normal(B, 2 * U), loss="mse")
    assert replaced and not any(replaced)
