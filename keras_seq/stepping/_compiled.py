"""Compile a function of `keras.ops` with what the backend has."""

import keras


def compiled(function, model, jit_compile):
    """`function` compiled for the current backend.

    Args:
        function: takes and returns nests of tensors; may read the weights of `model`.
        model: the `keras.Model` whose weights the function reads.
        jit_compile: whether to compile with XLA; else TensorFlow runs a plain graph.

    Returns:
        A function that takes nests of arrays and returns nests of tensors. It is traced once for
        each set of shapes and always sees the current weights.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=jit_compile, autograph=False)
    if backend == "jax" and jit_compile:
        return _compiled_jax(function, model)
    if backend == "torch":
        return _eager_torch(function)
    return function


def _compiled_jax(function, model):
    import jax

    variables = model.variables

    @jax.jit
    def stateless(values, *args):
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return function(*args)

    def call(*args):
        return stateless([v.value for v in variables], *args)

    return call


def _eager_torch(function):
    import torch

    def tensor(value):
        return None if value is None else keras.ops.convert_to_tensor(value)

    def call(*args):
        with torch.no_grad():
            return function(*keras.tree.map_structure(tensor, args))

    return call
