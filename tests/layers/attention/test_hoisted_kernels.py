import numpy as np
from keras import ops

import keras_seq as ks
from keras_seq.layers.attention._hoisted_kernels import hoisted_kernels, matrix

X = np.random.default_rng(0).normal(size=(2, 4, 6)).astype("float32")


def query_matrix(layer):
    return matrix(layer.query_kernel, (6, -1), "float32")


def test_matrices_are_made_once_where_the_state_begins():
    layer = ks.layers.MultiHeadSelfAttention(2, 3, causal=True)
    layer(X)
    with hoisted_kernels():
        assert query_matrix(layer) is not query_matrix(layer)
        state = layer.get_initial_state(2, max_length=4)
        assert query_matrix(layer) is query_matrix(layer)
        y, _ = layer.step(X[:, :1], state)
    assert query_matrix(layer) is not query_matrix(layer)
    np.testing.assert_allclose(
        ops.convert_to_numpy(y)[:, 0], ops.convert_to_numpy(layer(X))[:, 0], atol=1e-6
    )


def test_layers_do_not_share_their_matrices():
    layers = [ks.layers.MultiHeadCrossAttention(2, 3) for _ in range(2)]
    with hoisted_kernels():
        for layer in layers:
            layer(X, X)
            layer.get_initial_state(2, context=X)
        for layer in layers:
            expected = ops.reshape(layer.query_kernel, (6, 6))
            np.testing.assert_array_equal(
                ops.convert_to_numpy(query_matrix(layer)), ops.convert_to_numpy(expected)
            )
