"""What is taken from Keras' private parts still behaves as it is used here."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_seq.layers import _keras_private as _masks
from keras_seq.stepping import _keras_private as _keras


def branching_model():
    """Two inputs, a shared layer called twice, a residual: its nodes have few valid orders."""
    x, z = keras.Input((None, 4), name="x"), keras.Input((None, 4), name="z")
    shared = keras.layers.Dense(4, name="shared")
    a = shared(x)
    b = shared(keras.layers.Concatenate(name="join")([a, z])[:, :, :4])
    return keras.Model({"x": x, "z": z}, {"sum": a + b, "b": b}, name="branching")


def run_node_by_node(model, inputs):
    """The model's outputs by the walk that stepping uses."""
    functional = _keras.functional_of(model)
    values = {id(t): ops.convert_to_tensor(inputs[t.name]) for t in functional.inputs}
    for node in _keras.graph_nodes(model):
        args, kwargs = _keras.fill_arguments(node, values)
        outputs = keras.tree.flatten(node.operation(*args, **kwargs))
        values.update({id(t): y for t, y in zip(node.outputs, outputs, strict=True)})
    symbolic, pack = _keras.graph_outputs(model)
    return pack([values[id(t)] for t in symbolic])


def random_inputs():
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(2, 3, 4)).astype("float32") for name in "xz"}


def test_a_mask_stays_with_its_tensor():
    x, mask = ops.ones((2, 3)), ops.ones((2, 3), dtype="bool")
    assert _masks.get_mask(x) is None
    assert _masks.set_mask(x, None) is x
    assert _masks.get_mask(x) is None
    assert _masks.set_mask(x, mask) is x
    assert _masks.get_mask(x) is mask
    assert _masks.get_mask(None) is None


def test_the_mask_is_the_one_that_keras_layers_read_and_write():
    tokens = np.array([[3, 0], [1, 2]])
    y = keras.layers.Embedding(5, 4, mask_zero=True)(tokens)
    np.testing.assert_array_equal(ops.convert_to_numpy(_masks.get_mask(y)), tokens != 0)
    x = _masks.set_mask(
        ops.ones((2, 3, 4)), ops.convert_to_tensor([[True] * 3, [True, False, False]])
    )
    pooled = keras.layers.GlobalAveragePooling1D()
    x = _masks.set_mask(x * 1, _masks.get_mask(x))
    np.testing.assert_allclose(ops.convert_to_numpy(pooled(x)), 1)
    alone = keras.layers.GRU(2, return_sequences=True)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(_masks.get_mask(alone(x))), [[True] * 3, [True, False, False]]
    )


def test_nodes_come_in_an_order_that_runs():
    model, inputs = branching_model(), random_inputs()
    got, expected = run_node_by_node(model, inputs), model(inputs)
    assert set(got) == set(expected) == {"sum", "b"}
    for name, value in got.items():
        np.testing.assert_allclose(*map(ops.convert_to_numpy, (value, expected[name])), atol=1e-6)


def test_each_call_of_a_shared_layer_is_a_node_and_inputs_are_none():
    nodes = _keras.graph_nodes(branching_model())
    assert [node.operation.name for node in nodes].count("shared") == 2
    assert not any(isinstance(node.operation, keras.layers.InputLayer) for node in nodes)


def test_a_sequential_model_has_a_graph_once_it_is_built():
    model = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(2)])
    assert _keras.functional_of(model) is None and not _keras.is_functional(model)
    x = np.ones((2, 3, 4), "float32")
    model(x)
    assert _keras.is_functional(model)
    name = _keras.functional_of(model).inputs[0].name
    got = run_node_by_node(model, {name: x})
    np.testing.assert_allclose(*map(ops.convert_to_numpy, (got, model(x))), atol=1e-6)


def test_a_functional_model_is_its_own_graph():
    model = branching_model()
    assert _keras.functional_of(model) is model and _keras.is_functional(model)


def test_a_subclassed_model_has_no_graph():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    model = Subclassed()
    model(np.ones((2, 3), "float32"))
    assert _keras.functional_of(model) is None and not _keras.is_functional(model)
    assert not _keras.is_functional(keras.layers.Dense(2))


def test_arguments_are_filled_wherever_they_stand():
    class Weighted(keras.layers.Layer):
        def call(self, x, parts=None, scale=1.0):
            return x + scale * parts["a"]

    x, a = keras.Input((3,), name="x"), keras.Input((3,), name="a")
    model = keras.Model([x, a], Weighted()(x, parts={"a": a}, scale=2.0))
    (node,) = _keras.graph_nodes(model)
    args, kwargs = _keras.fill_arguments(node, {id(x): "X", id(a): "A"})
    assert [*args, *kwargs.items()] == ["X", ("parts", {"a": "A"}), ("scale", 2.0)]


def test_the_output_spec_comes_from_call_whatever_compute_output_shape_says():
    class Liar(keras.layers.Layer):
        def call(self, x):
            return x, x[:, 0]

        def compute_output_shape(self, input_shape):
            return (1, 1)

    specs = _masks.standalone_output_spec(Liar(), keras.KerasTensor((None, 5, 4)))
    assert [tuple(spec.shape) for spec in specs] == [(None, 5, 4), (None, 4)]


@pytest.mark.parametrize("pack_like", ["list", "single"])
def test_outputs_are_packed_as_the_model_has_them(pack_like):
    x = keras.Input((3,))
    y = keras.layers.Dense(2)(x)
    model = keras.Model(x, [y] if pack_like == "list" else y)
    outputs, pack = _keras.graph_outputs(model)
    assert len(outputs) == 1
    assert pack(["Y"]) == (["Y"] if pack_like == "list" else "Y")
