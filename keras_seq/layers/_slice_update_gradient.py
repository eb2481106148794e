"""The gradient of `keras.ops.slice_update` on TensorFlow, which TensorFlow itself lacks.

Without it a layer called outside of training (the loop that writes its outputs in place) or from a
state (the KV cache) could not be differentiated.
"""

import keras


def register_slice_update_gradient():
    """Tell TensorFlow the gradient; does nothing on other backends, which know it."""
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    def gradient(op, dy):
        _, update, start = op.inputs
        start = tf.cast(start, "int32")
        # What was written over has no effect any more; what was written has that of its place.
        overwritten = keras.ops.slice_update(dy, start, tf.zeros_like(update))
        return overwritten, tf.slice(dy, start, tf.shape(update)), None

    try:
        tf.RegisterGradient("XlaDynamicUpdateSlice")(gradient)
    except KeyError:
        pass  # a TensorFlow, or another package, that has registered it already
