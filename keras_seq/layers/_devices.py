"""What devices the backend computes on."""

import keras


def has_gpu():
    """Whether the backend sees a GPU that it computes on by itself."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # Not the logical devices: to list them ends what can be configured of the physical ones.
        return bool(tf.config.get_visible_devices("GPU"))
    if backend == "jax":
        import jax

        return jax.default_backend() == "gpu"
    if backend == "torch":
        import torch

        return torch.cuda.is_available() and torch.backends.cudnn.is_available()
    return False


def is_cpu():
    """Whether the backend computes on CPUs alone."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() == "cpu"
    return not has_gpu()
