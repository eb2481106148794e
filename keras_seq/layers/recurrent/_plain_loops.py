"""`plain_loops`: graphs in which recurrent layers do not compile themselves."""

import contextlib
import contextvars

from keras_seq.layers._scoped import scoped

_asked_for = contextvars.ContextVar("plain_loops", default=False)


@contextlib.contextmanager
def plain_loops():
    """Recurrent layers that are called, or traced, inside do not compile themselves.

    On TensorFlow their loops are XLA functions in the graphs of `fit`, `evaluate` and `predict`,
    and in any graph that records gradients. A file that holds gradients, such as one that is to be
    trained on a device with LiteRT, must have none: trace what it holds in here. Exports of
    `keras_seq.export` and `Model.export` need nothing of the kind.

    Example:

    ```python
    import keras
    import tensorflow as tf
    import keras_seq

    inputs = keras.Input((10, 4))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras_seq.layers.LSTM(8)(inputs)))

    @tf.function(input_signature=[tf.TensorSpec((2, 10, 4)), tf.TensorSpec((2, 1))])
    def gradients(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        return tape.gradient(loss, [w.value for w in model.trainable_variables])

    with keras_seq.layers.plain_loops():
        traced = gradients.get_concrete_function()
    print(len(traced.outputs))  # 5
    ```
    """
    with scoped(_asked_for, True):
        yield


def are_loops_plain():
    """Whether the caller stands in `plain_loops`."""
    return _asked_for.get()
