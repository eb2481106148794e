"""LSTM and GRU by cuDNN: when it is taken, and that its numbers are those of the loop."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.layers import _devices
from keras_seq.layers.recurrent._engine import Form, recurrence_form
from tests.layers.recurrent.emulated_cudnn import install

B, T, D, U = 3, 5, 4, 6
BACKEND = keras.backend.backend()
NAMES = ["LSTM", "GRU"] if BACKEND == "tensorflow" else ["LSTM"]
PADDED = np.arange(T) < np.array([[5], [2], [1]])
WITH_HOLES = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]], dtype="bool")

pytestmark = pytest.mark.skipif(BACKEND == "torch", reason="no kernel to stand in for")


def normal(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape).astype("float32")


def layer_of(name, use_cudnn="auto", **arguments):
    layer = getattr(ks.layers, name)(U, use_cudnn=use_cudnn, **arguments)
    layer.build((B, T, D))
    for i, weight in enumerate(layer.weights):
        weight.assign(np.random.default_rng(i).normal(size=weight.shape) / 3)
    return layer


def numpy(nest):
    return keras.tree.map_structure(ops.convert_to_numpy, nest)


def assert_close(got, wanted):
    keras.tree.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), numpy(got), numpy(wanted)
    )


@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("starts", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_kernel_gives_the_numbers_of_the_loop(
    name, starts, go_backwards, return_sequences, monkeypatch
):
    arguments = {"go_backwards": go_backwards, "return_sequences": return_sequences}
    state = [normal(B, U) for _ in range(2 if name == "LSTM" else 1)] if starts else None
    call = {"initial_state": state, "return_state": True}
    wanted = layer_of(name, **arguments)(normal(B, T, D), **call)
    runs = install(monkeypatch)
    assert_close(layer_of(name, **arguments)(normal(B, T, D), **call), wanted)
    assert runs == [name.lower()]


@pytest.mark.needs_tensorflow(reason="the kernels of other backends take no masks")
@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_mask_with_padding_on_the_right_is_the_kernels_and_any_other_the_loops(
    name, go_backwards, eager, monkeypatch
):
    import tensorflow as tf

    arguments = {"go_backwards": go_backwards, "return_sequences": True}
    x, masks = normal(B, T, D), [tf.constant(PADDED), tf.constant(WITH_HOLES)]

    def results(layer):
        @tf.function(input_signature=[tf.TensorSpec((B, T), "bool")])
        def graph(mask):
            return run(mask)

        def run(mask):
            with tf.GradientTape() as tape:
                y, state = layer(x, mask=mask, return_state=True)
                loss = tf.reduce_sum(y**2) + tf.reduce_sum(state[-1] ** 3)
            return y, state, tape.gradient(loss, layer.trainable_weights)

        return [(run if eager else graph)(mask) for mask in masks]

    wanted = results(layer_of(name, **arguments))
    runs = install(monkeypatch)
    assert_close(results(layer_of(name, **arguments)), wanted)
    assert len(runs) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_model_learns_the_same_with_the_kernel(name, monkeypatch):
    def weights_after_training():
        keras.utils.set_random_seed(0)
        layers = [layer_of(name, return_sequences=True, dropout=0.3, seed=1), layer_of(name)]
        layers = [type(layer).from_config(layer.get_config()) for layer in layers]
        model = keras.Sequential([keras.Input((T, D)), *layers, keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(normal(B, T, D), normal(B, 1), epochs=2, verbose=0)
        return model.get_weights()

    wanted = weights_after_training()
    runs = install(monkeypatch)
    assert_close(weights_after_training(), wanted)
    assert len(runs) >= 2


@pytest.mark.parametrize(
    "arguments, condition",
    [
        ({"activation": "relu"}, "activation='tanh'"),
        ({"recurrent_activation": "hard_sigmoid"}, "recurrent_activation='sigmoid'"),
        ({"use_bias": False}, "use_bias=True"),
        ({"unroll": True}, "unroll=False"),
        ({"recompute": 2}, "recompute=None"),
        ({"zoneout": 0.1}, "zoneout=0"),
        ({"recurrent_dropout": 0.1}, "recurrent_dropout=0"),
    ],
)
def test_what_the_kernel_cannot_do_is_done_by_the_loop_or_named(arguments, condition, monkeypatch):
    wanted = layer_of("LSTM", **arguments)(normal(B, T, D))
    runs = install(monkeypatch)
    assert_close(layer_of("LSTM", **arguments)(normal(B, T, D)), wanted)
    with pytest.raises(ValueError, match=f"use_cudnn=True.*needs `{condition}`"):
        layer_of("LSTM", use_cudnn=True, **arguments)(normal(B, T, D))
    assert runs == []


def test_a_gru_with_the_reset_before_the_product_has_no_kernel(monkeypatch):
    runs = install(monkeypatch)
    layer_of("GRU", reset_after=False)(normal(B, T, D))
    condition = "`reset_after=True`" if BACKEND == "tensorflow" else "a backend with a kernel"
    with pytest.raises(ValueError, match=condition):
        layer_of("GRU", use_cudnn=True, reset_after=False)(normal(B, T, D))
    assert runs == []


def test_a_reset_is_the_loops(monkeypatch):
    reset = np.arange(T)[None] == np.array([[2], [0], [4]])
    wanted = layer_of("LSTM")(normal(B, T, D), reset=reset)
    runs = install(monkeypatch)
    assert_close(layer_of("LSTM")(normal(B, T, D), reset=reset), wanted)
    with pytest.raises(ValueError, match="no `reset`"):
        layer_of("LSTM", use_cudnn=True)(normal(B, T, D), reset=reset)
    assert runs == []


def test_a_mask_that_the_kernel_cannot_take_is_named(monkeypatch):
    install(monkeypatch)
    with pytest.raises(ValueError, match="`mask`"):
        layer_of("LSTM", use_cudnn=True)(normal(B, T, D), mask=ops.convert_to_tensor(WITH_HOLES))


def test_without_a_gpu_the_loop_runs():
    assert not _devices.has_gpu()
    layer_of("LSTM")(normal(B, T, D))
    with pytest.raises(ValueError, match="needs a GPU"):
        layer_of("LSTM", use_cudnn=True)(normal(B, T, D))


def test_the_kernel_is_never_taken_where_it_is_not_wanted(monkeypatch):
    runs = install(monkeypatch)
    layer_of("LSTM", use_cudnn=False)(normal(B, T, D))
    layer = layer_of("LSTM", use_cudnn=True, return_sequences=True)
    layer.step(normal(B, 1, D), layer.get_initial_state(B))
    with recurrence_form(lambda layer: Form()):  # as an export does, whose file runs elsewhere
        layer(normal(B, T, D))
    assert runs == []


@pytest.mark.needs_tensorflow(reason="XLA of JAX compiles the kernel")
def test_xla_has_the_loop(monkeypatch):
    import tensorflow as tf

    assert layer_of("LSTM").supports_jit
    runs = install(monkeypatch)
    layer = layer_of("LSTM")
    assert not layer.supports_jit and layer_of("LSTM", use_cudnn=False).supports_jit
    tf.function(layer, jit_compile=True)(tf.constant(normal(B, T, D)))
    assert runs == []
