import numpy as np
import pytest
from keras import ops

import keras_seq  # noqa: F401  (registers the gradient)
from tests.layers.layer_equations import normal

pytestmark = pytest.mark.needs_tensorflow(reason="TensorFlow alone lacks this gradient")


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("start", [(0, 0), (1, 2)])
def test_what_is_written_over_has_no_gradient_and_what_is_written_has_its_places(
    start, jit_compile
):
    import tensorflow as tf

    x, update, weights = (tf.constant(normal(*s)) for s in [(4, 5), (2, 3), (4, 5)])

    @tf.function(jit_compile=jit_compile)
    def gradients(x, update):
        with tf.GradientTape() as tape:
            tape.watch([x, update])
            y = ops.slice_update(x, tf.constant(start), update)
            loss = tf.reduce_sum(y * weights)
        return tape.gradient(loss, [x, update])

    of_x, of_update = (g.numpy() for g in gradients(x, update))
    place = tuple(slice(s, s + n) for s, n in zip(start, (2, 3), strict=True))
    expected = weights.numpy().copy()
    np.testing.assert_allclose(of_update, expected[place])
    expected[place] = 0
    np.testing.assert_allclose(of_x, expected)
